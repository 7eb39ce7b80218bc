# Images that the cluster may run: releases, which only the builder can push (docs/adr/0044-builds-and-images.md), KEDA's
# and Google's own. The policy belongs to the whole project; other clusters of the project may run any image.

resource "google_binary_authorization_policy" "images" {
  for_each = local.clusters

  project                       = local.project
  global_policy_evaluation_mode = "ENABLE" # Google's system images

  admission_whitelist_patterns {
    name_pattern = "${local.image_repository}/*"
  }
  admission_whitelist_patterns {
    name_pattern = "ghcr.io/kedacore/*"
  }

  cluster_admission_rules {
    cluster          = "${var.region}.${each.value}"
    evaluation_mode  = "ALWAYS_DENY"
    enforcement_mode = "ENFORCED_BLOCK_AND_AUDIT_LOG"
  }
  default_admission_rule {
    evaluation_mode  = "ALWAYS_ALLOW"
    enforcement_mode = "ENFORCED_BLOCK_AND_AUDIT_LOG"
  }
}
