# Service accounts. Their roles are granted next to each resource.

resource "google_service_account" "api" {
  project      = local.project
  account_id   = "darkroom-api"
  display_name = "darkroom: the API"
}

resource "google_service_account" "caller" {
  project      = local.project
  account_id   = "darkroom-caller"
  display_name = "darkroom: caller of /internal, for Pub/Sub's pushes and the scheduler"
}

resource "google_service_account" "nodes" {
  project      = local.project
  account_id   = "darkroom-nodes"
  display_name = "darkroom: the cluster's nodes"
}

resource "google_service_account" "builder" {
  project      = local.project
  account_id   = "darkroom-builder"
  display_name = "darkroom: Cloud Build, which tests, builds and deploys"
}

resource "google_service_account" "worker" {
  project      = local.project
  account_id   = "darkroom-worker"
  display_name = "darkroom: the GPU workers"
}

resource "google_service_account" "keda" {
  count = local.installs_keda ? 1 : 0

  project      = local.project
  account_id   = "darkroom-keda"
  display_name = "darkroom: KEDA, which sets the number of workers"
}

# Pods act as these accounts through Workload Identity, without keys. The names are those of gpu_subscriber/k8s.
resource "google_service_account_iam_member" "pods" {
  for_each = merge(
    var.cluster.enabled ? {
      worker = { account = google_service_account.worker.name, pod = "${local.shared.kubernetes.namespace}/${local.shared.kubernetes.worker_account}" }
    } : {},
    local.installs_keda ? {
      keda = { account = google_service_account.keda[0].name, pod = "${local.keda_namespace}/keda-operator" }
    } : {},
  )

  service_account_id = each.value.account
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project_id}.svc.id.goog[${each.value.pod}]"

  depends_on = [google_container_cluster.darkroom] # the project's first cluster creates the identity pool
}

# Firestore without the permissions to create databases, read their statistics or change indexes.
resource "google_project_iam_custom_role" "documents" {
  project     = local.project
  role_id     = "darkroomDocuments"
  title       = "darkroom: documents"
  description = "Read, write and listen to documents"
  permissions = [
    "datastore.databases.get",
    "datastore.entities.create",
    "datastore.entities.delete",
    "datastore.entities.get",
    "datastore.entities.list",
    "datastore.entities.update",
  ]
}

resource "google_project_iam_custom_role" "image_keeper" {
  project     = local.project
  role_id     = "darkroomImageKeeper"
  title       = "darkroom: image keeper"
  description = "Read, list and delete objects, but not create them"
  permissions = ["storage.objects.delete", "storage.objects.get", "storage.objects.list"]
}

resource "google_project_iam_custom_role" "input_writer" {
  project     = local.project
  role_id     = "darkroomInputWriter"
  title       = "darkroom: input writer"
  description = "Create objects and change their metadata, but not replace them"
  permissions = ["storage.objects.create", "storage.objects.update"]
}

resource "google_project_iam_custom_role" "link_signer" {
  project     = local.project
  role_id     = "darkroomLinkSigner"
  title       = "darkroom: link signer"
  description = "Sign bytes as a service account, and nothing else"
  permissions = ["iam.serviceAccounts.signBlob"]
}

resource "google_service_account_iam_member" "api_signs_links" {
  service_account_id = google_service_account.api.name
  role               = google_project_iam_custom_role.link_signer.name
  member             = google_service_account.api.member
}

# Pub/Sub and the scheduler may issue tokens of the caller's account, and of no other.
resource "google_service_account_iam_member" "speaks_as_caller" {
  for_each = {
    pubsub    = google_project_service_identity.pubsub.member
    scheduler = google_project_service_identity.scheduler.member
  }

  service_account_id = google_service_account.caller.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = each.value
}

# Telemetry roles can only be granted on the whole project.
resource "google_project_iam_member" "telemetry" {
  for_each = {
    for pair in setproduct(keys(local.telemetry_writers), local.telemetry_roles) :
    "${pair[0]} ${pair[1]}" => { member = local.telemetry_writers[pair[0]], role = pair[1] }
  }

  project = local.project
  role    = each.value.role
  member  = each.value.member
}

locals {
  telemetry_writers = {
    api    = google_service_account.api.member
    worker = google_service_account.worker.member
  }
  telemetry_roles = ["roles/telemetry.metricsWriter", "roles/telemetry.tracesWriter"] # by OTLP: docs/operating/observability.md
}
