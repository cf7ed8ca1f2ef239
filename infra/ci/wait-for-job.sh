#!/usr/bin/env bash
# Waits for the end of a Job, prints its log and says how it ended: exit 0 when it is complete, 1 when it has failed.
# "kubectl wait" alone waits for one of the two, and for the whole timeout when it is the other one.
#   wait-for-job.sh [NAMESPACE [JOB [TIMEOUT]]]
set -uo pipefail

namespace=${1-battlescope}
job=${2-db-migrate}
# Above the Job's activeDeadlineSeconds, so that Kubernetes ends it first.
timeout=${3-65m}

ended() {
  kubectl --namespace "$namespace" wait "job/$job" --for="condition=$1" --timeout="$timeout"
}

ended Complete &
ended Failed && false &
# The first of the two to end decides.
wait -n
code=$?
# Ends the other one, whether or not there is one left.
kill %1 %2 2>/dev/null

kubectl --namespace "$namespace" logs "job/$job" --all-pods --prefix
exit "$code"
