#!/usr/bin/env bash
# Waits for the end of a Job, prints its log and says how it ended: exit 0 when it is complete, 1 when it has failed.
# "kubectl wait" alone waits for one of the two, and for the whole timeout when it is the other one.
#   wait-for-job.sh [NAMESPACE [JOB [TIMEOUT]]]
set -uo pipefail

namespace=${1-battlescope}
job=${2-db-migrate}
# Above the Job's activeDeadlineSeconds, so that Kubernetes ends it first.
timeout=${3-65m}

kubectl --namespace "$namespace" wait "job/$job" --for=condition=Complete --timeout="$timeout" &
complete=$!
kubectl --namespace "$namespace" wait "job/$job" --for=condition=Failed --timeout="$timeout" &
failed=$!
# The first of the two to end decides.
wait -n
code=$?
if kill -0 "$complete" 2>/dev/null; then code=1; fi
kill "$complete" "$failed" 2>/dev/null
wait

kubectl --namespace "$namespace" logs "job/$job" --all-pods --prefix
exit "$code"
