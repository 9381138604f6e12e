#!/bin/bash
# Every worker's startup script: a queued resource that nobody deletes deletes itself.
#
# Its jobs keep a deadline in $state/end (seconds since 1970): far off while they run, near once they
# have ended. Until the first job starts, the deadline is the time that setting up may take. Only
# worker 0 of a slice watches it, as the machine's own service account, which needs the right to
# delete queued resources (roles/tpu.admin).
metadata=${LAUNCH_METADATA:-http://metadata.google.internal/computeMetadata/v1/instance}
api=${LAUNCH_API:-https://tpu.googleapis.com/v2}
state=${LAUNCH_STATE:-/var/tmp/qlae}

read_metadata() { curl -sf -H "Metadata-Flavor: Google" "$metadata/$1"; }

watch() {
  local resource=$1 end=$2 told token
  while sleep "${LAUNCH_INTERVAL:-60}"; do
    told=$(cat "$state/end" 2>/dev/null)
    [[ $told =~ ^[0-9]+$ ]] && end=$told
    (( $(date +%s) < end )) && continue
    token=$(read_metadata service-accounts/default/token |
      sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
    if curl -sf -X DELETE -H "Authorization: Bearer $token" "$api/$resource?force=true" \
      >"$state/deleted"; then
      break
    fi
  done
}

worker=$(read_metadata attributes/agent-worker-number)
[[ -z $worker || $worker = 0 ]] || exit 0
mkdir -p "$state" && chmod 1777 "$state"
resource=$(read_metadata attributes/launch-resource) || exit 1
setup=$(read_metadata attributes/launch-setup-seconds) || exit 1
watch "$resource" "$(($(date +%s) + setup))" </dev/null >/dev/null 2>&1 &
disown
