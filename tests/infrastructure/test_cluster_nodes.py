"""The cluster's own node_config, which Google's provider reads from another pool after the first one's removal."""

from tests.infrastructure.terraform_files import resources

CLUSTER = resources("google_container_cluster")["darkroom"]
POOLS = resources("google_container_node_pool")


def test_differences_to_other_pools_do_not_replace_the_cluster() -> None:
    (own,) = CLUSTER["node_config"]
    (lifecycle,) = CLUSTER["lifecycle"]
    ignored = {name.strip("${}").removeprefix("node_config[0].") for name in lifecycle["ignore_changes"]}
    for name, pool in POOLS.items():
        (config,) = pool["node_config"]
        dynamic = {label for block in config.get("dynamic", []) for label in block}
        differing = {key for key, value in config.items() if key != "dynamic" and own.get(key) != value}
        assert (differing | dynamic) - ignored == set(), name


def test_first_pool_uses_no_default_account_and_no_ssd_quota() -> None:
    (own,) = CLUSTER["node_config"]
    assert own["service_account"] == "${google_service_account.nodes.email}"
    assert own["disk_type"] == "pd-standard"
