#!/usr/bin/env bash
# From nothing to a trained, merged and exported adapter: sets up what is missing, builds weft, and
# runs the main job on an example small enough for two CPU cores.
#
#   scripts/quickstart.sh            everything it makes is in runs/quickstart, which it empties first
#   WEFT_PROGRAM=PATH …              use this weft instead of building one
#   WEFT_RUN_ROOT=FOLDER …           make runs/quickstart there instead of in the project
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

work=runs/quickstart
configs=$root/configs/quickstart

step() { printf '\n== %s (%d s)\n' "$1" "$((SECONDS - job_began))"; }

# The program alone, with no Python to be found: it needs none.
weft() { PATH=$empty_path "$program" "$@"; }

build() {
  if [ -n "${WEFT_PROGRAM:-}" ]; then
    program=$(realpath "$WEFT_PROGRAM")
    return
  fi
  scripts/setup.sh
  say "building weft"
  cmake --preset release >build.log 2>&1 || { cat build.log >&2; die "cmake failed; see above."; }
  rm -f build.log
  cmake --build --preset release --target weft --parallel "$(build_jobs)" ||
    die "the build failed; see above."
  program=$root/build/release/weft
}

# exact_match [--adapter FOLDER]: share of held-out letters answered word for word, in percent.
exact_match() {
  local line
  line=$(weft eval "$configs/lora.yaml" "$@") || die "weft eval failed; see above."
  echo "$line" | sed -n 's/.*"eval_exact_match":\([0-9.e+-]*\).*/\1/p' |
    awk '{printf "%.1f\n", 100 * $1}'
}

# The first two held-out letters.
letters() { head -2 "$work/data/chats_eval.jsonl" | sed 's/.*"user", "content": "\([^"]*\)".*/\1/'; }

# answers [--adapter FOLDER]: what the model says to each.
answers() {
  local letter
  letters | while IFS= read -r letter; do
    printf '   letter: %s\n   answer: ' "$letter"
    weft generate --model "$work/base/final" --device cpu --chat --no-thinking --greedy \
      --max-new-tokens 40 --prompt "$letter" "$@" </dev/null 2>/dev/null
  done
}

make_base() {
  step "making the example data, a tokenizer, and a tiny Qwen3 with random weights"
  "$(system_python)" "$configs/make_data.py" "$work/data"
  weft tokenizer train "$work/data/corpus.txt" "$work/data/chats_base.jsonl" \
    --out "$work/tokenizer" --vocab-size 512
  weft init --preset tiny --dtype fp32 --tokenizer "$work/tokenizer" --out "$work/start"
  step "tokenising the corpus into HDF5 shards"
  weft tokenize "$configs/tokenize.yaml"
  step "training the base: all weights, on letters and polite replies"
  weft train "$configs/base.yaml"
}

train_adapter() {
  step "before: the base on 200 held-out letters"
  before=$(exact_match)
  answers
  echo "   exact match: $before%"
  step "training a LoRA adapter: goods decide the team, complaints the action"
  weft train "$configs/lora.yaml"
  step "after: base and adapter on the same letters"
  after=$(exact_match --adapter "$work/lora/final")
  answers --adapter "$work/lora/final"
  echo "   exact match: $after%"
}

deliver() {
  step "merging and exporting"
  weft merge --model "$work/base/final" --adapter "$work/lora/final" --out "$work/merged"
  weft export --model "$work/base/final" --adapter "$work/lora/final" --to peft --out "$work/peft"
}

report() {
  cat <<END

== done in $((SECONDS - job_began)) s: exact match on held-out letters $before% before, $after% after

   $work/lora/final            the adapter, in PEFT's layout; $work/lora/metrics.jsonl how it went
   $work/merged                base and adapter as one Hugging Face checkpoint
   $work/peft                  the adapter for vLLM, SGLang and others that read PEFT
   $work/lora/tensorboard      curves for TensorBoard

   next: talk to it      ${program#"$root"/} generate --model $work/merged --chat --no-thinking
         a real model    put one into models/Qwen3-0.6B, your chats into data/train.jsonl and
                         data/eval.jsonl, then ${program#"$root"/} train configs/qwen3-0.6b.yaml
END
}

cd "$root"
build
cd "${WEFT_RUN_ROOT:-$root}"
job_began=$SECONDS
rm -rf "$work"
mkdir -p "$work/empty"
empty_path=$PWD/$work/empty
make_base
train_adapter
deliver
report
awk -v before="$before" -v after="$after" 'BEGIN {exit !(before < 5 && after > 90)}' ||
  die "expected an exact match below 5% before and above 90% after; got $before% and $after%."
