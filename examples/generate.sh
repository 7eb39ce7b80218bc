#!/usr/bin/env bash
# Generate a prompt with curl and jq: generate.sh PROMPT
set -euo pipefail
if (($# != 1)); then
  echo "usage: generate.sh PROMPT" >&2
  exit 2
fi
api=${DARKROOM_URL:-http://localhost:8080}

# A proxy cannot reach addresses of this machine.
no_proxy=${no_proxy:-${NO_PROXY:-}}
[[ $no_proxy == '*' ]] || export no_proxy="localhost,127.0.0.1,::1${no_proxy:+,$no_proxy}"

fail() {
  jq --raw-output '.detail, (.errors[] | "\(.pointer): \(.detail)")' <<<"$task" >&2
  exit 1
}

# With an idempotency key, a retry by curl creates no second task.
task=$(jq --null-input --arg prompt "$1" '{prompt: $prompt, labels: {example: "curl"}}' |
  curl --silent --show-error --fail-with-body --retry 3 "$api/v1/tasks" --json @- \
    --header "Idempotency-Key: example-$(date +%s)-$$-$RANDOM") || fail
id=$(jq --raw-output .id <<<"$task")

# The API holds each read until the task changes, at most 30 s.
while [[ $(jq --raw-output .status <<<"$task") =~ ^(queued|processing)$ ]]; do
  task=$(curl --silent --show-error --fail-with-body --retry 3 "$api/v1/tasks/$id" --header 'Prefer: wait=30') || fail
  jq --raw-output '"\(.status) \(.progress.step)/\(.progress.steps)"' <<<"$task" >&2
done

if [[ $(jq --raw-output .status <<<"$task") != completed ]]; then
  jq --raw-output '.failure.message // .status' <<<"$task" >&2
  exit 1
fi
for index in $(jq --raw-output '.images[].index' <<<"$task"); do
  # --location: in the cloud the API redirects to a signed link.
  curl --silent --show-error --fail --location "$api/v1/tasks/$id/images/$index" --output "darkroom-$id-$index.png"
  echo "darkroom-$id-$index.png"
done
