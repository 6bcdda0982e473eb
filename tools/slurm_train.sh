#!/usr/bin/env bash
# Train under slurm: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# GPUS (default 8), GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS come from the environment.
set -euo pipefail
if [ $# -lt 4 ]; then
  echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2
  exit 2
fi
gpus="${GPUS:-8}"
gpus_per_node="${GPUS_PER_NODE:-8}"
if [ "$gpus" -lt "$gpus_per_node" ]; then gpus_per_node="$gpus"; fi
# shellcheck disable=SC2086  # SRUN_ARGS is a list of options
exec srun -p "$1" --job-name="$2" \
  --gres="gpu:$gpus_per_node" --ntasks="$gpus" --ntasks-per-node="$gpus_per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  python -u "$(dirname "${BASH_SOURCE[0]}")/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
