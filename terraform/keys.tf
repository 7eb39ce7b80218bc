# Customer-managed keys of Cloud KMS, if `kms_keys` is set. The keys belong to you: Terraform grants their use and nothing
# else (docs/adr/0052-existing-networks-clusters-and-keys.md).

locals {
  kms_keys = { for name, key in var.kms_keys : name => key if key != null }
  # The service agent that encrypts each kind of resource.
  kms_users = {
    buckets   = one(data.google_storage_project_service_account.agent[*].member)
    firestore = one(google_project_service_identity.firestore[*].member)
    registry  = one(google_project_service_identity.registry[*].member)
    topics    = google_project_service_identity.pubsub.member
  }
  # Resources read their key from here, so that none is created before its agent may use the key.
  usable_keys = { for name, sleep in time_sleep.keys_take_effect : name => sleep.triggers.key }
  bucket_keys = [for name, key in local.usable_keys : key if name == "buckets"]
}

# Reading it creates the agent.
data "google_storage_project_service_account" "agent" {
  count = var.kms_keys.buckets == null ? 0 : 1

  project = local.project
}

resource "google_project_service_identity" "firestore" {
  provider = google-beta
  count    = var.kms_keys.firestore == null ? 0 : 1

  project = local.project
  service = "firestore.googleapis.com"
}

resource "google_project_service_identity" "registry" {
  provider = google-beta
  count    = var.kms_keys.registry == null ? 0 : 1

  project = local.project
  service = "artifactregistry.googleapis.com"
}

resource "google_kms_crypto_key_iam_member" "agents_encrypt" {
  for_each = local.kms_keys

  crypto_key_id = each.value
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = local.kms_users[each.key]
}

# The database and the repository keep their first key: another one would replace them, with all tasks and releases. This
# resource records the first keys, so that another one is refused at plan time.
resource "terraform_data" "first_keys" {
  input = jsonencode({ firestore = var.kms_keys.firestore, registry = var.kms_keys.registry })

  lifecycle {
    ignore_changes = [input]

    postcondition {
      condition     = self.input == jsonencode({ firestore = var.kms_keys.firestore, registry = var.kms_keys.registry })
      error_message = "kms_keys: firestore and registry cannot be set, changed or removed after the first apply, because the database and the images' repository would be replaced. The first keys were ${self.input}."
    }
  }
}

# A granted role takes up to two minutes to take effect.
resource "time_sleep" "keys_take_effect" {
  for_each = google_kms_crypto_key_iam_member.agents_encrypt

  create_duration = "120s"
  triggers        = { key = each.value.crypto_key_id }
}
