# KEDA, which reads the demand for workers from the API and Cloud Monitoring. gpu_subscriber/k8s defines what it scales
# and by which triggers.

locals {
  keda_namespace = "keda"
  installs_keda  = var.cluster.enabled && try(var.existing_cluster.keda_account, null) == null
  # The account that KEDA acts as: darkroom's own, or that of the KEDA of an existing cluster.
  keda_accounts = var.cluster.enabled ? [local.installs_keda ? google_service_account.keda[0].member : "serviceAccount:${var.existing_cluster.keda_account}"] : []
}

resource "kubernetes_namespace_v1" "keda" {
  for_each = toset(local.installs_keda ? ["darkroom"] : [])

  metadata {
    name = local.keda_namespace
    labels = {
      "pod-security.kubernetes.io/enforce" = "restricted"
    }
  }

  depends_on = [google_container_cluster.darkroom, google_container_node_pool.system]
}

resource "helm_release" "keda" {
  for_each = kubernetes_namespace_v1.keda

  name       = "keda"
  namespace  = each.value.metadata[0].name
  repository = "https://kedacore.github.io/charts"
  chart      = "keda"
  version    = "2.20.2"
  atomic     = true
  timeout    = 600

  values = [yamlencode({
    podIdentity = {
      gcp = { enabled = true, gcpIAMServiceAccount = google_service_account.keda[0].email }
    }
    # Two, so that the loss of a node does not stop the scaling; one of them is the leader.
    operator      = { replicaCount = 2 }
    metricsServer = { replicaCount = 2 }
    podDisruptionBudget = {
      operator     = { minAvailable = 1 }
      metricServer = { minAvailable = 1 }
    }
  })]
}

# Cloud Monitoring grants roles only on the whole project.
resource "google_project_iam_member" "keda_reads_metrics" {
  count = var.cluster.enabled ? 1 : 0

  project = local.project
  role    = "roles/monitoring.viewer"
  member  = local.keda_accounts[0]
}
