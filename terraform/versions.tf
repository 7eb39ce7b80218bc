terraform {
  # 1.11 introduced write-only arguments, which keep the webhook key out of the state.
  required_version = ">= 1.11, < 2.0"

  # `terraform init -backend-config=bucket=…` sets the state's bucket: see docs/operating/deploy.md.
  backend "gcs" {
    prefix = "darkroom"
  }

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = "~> 8.7"
    }
    helm = {
      source  = "hashicorp/helm"
      version = "~> 3.3"
    }
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 3.4"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.9"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.13"
    }
  }
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = local.labels
  # Firebase, budgets and Identity Platform need a quota project for a user's calls.
  user_project_override = true
  billing_project       = var.project_id
}

provider "google-beta" {
  project               = var.project_id
  region                = var.region
  default_labels        = local.labels
  user_project_override = true
  billing_project       = var.project_id
}

# The control plane has no IP endpoint: it is reached by its DNS name, where IAM authorizes callers.
provider "kubernetes" {
  host  = local.control_plane
  token = data.google_client_config.current.access_token
}

provider "helm" {
  kubernetes = {
    host  = local.control_plane
    token = data.google_client_config.current.access_token
  }
}

data "google_client_config" "current" {}

data "google_project" "this" {
  project_id = var.project_id
}

locals {
  labels = {
    app         = "darkroom"
    environment = var.environment
  }
  project_number = data.google_project.this.number
}
