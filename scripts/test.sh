#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. The last lines say what passed and what did
# not; the exit code is 0 only when all did.
#
#   scripts/test.sh           everything that CI runs
#   scripts/test.sh --quick   the release build and its tests only
set -uo pipefail
cd "$(dirname "$0")/.."
quick=
case $* in
'') ;;
--quick) quick=yes ;;
*) echo "usage: scripts/test.sh [--quick]" >&2 && exit 2 ;;
esac

jobs=$(nproc)
report=()   # a line for each step
failed=0

# step NAME COMMAND...: runs it whatever became of earlier ones.
step() {
  local name=$1 begin=$SECONDS verdict
  shift
  printf '\n== %s\n' "$name"
  if "$@"; then verdict=ok; else verdict=FAILED failed=1; fi
  report+=("$(printf '%-8s %-44s %4d s' "$verdict" "$name" $((SECONDS - begin)))")
  [[ $verdict == ok ]]
}

build() {
  cmake --preset "$1" >/dev/null && cmake --build --preset "$1" --parallel "$jobs" -- --quiet
}

# run_tests PRESET OPTION...: ends with ctest's summary. The peers are installed, so a test that
# skips for the want of one has failed. What fails is tried once more, and both attempts are in the
# log: these tests measure time, on machines whose cores others use too.
run_tests() {
  local preset=$1
  shift
  SEXTANT_REQUIRE_PEERS=1 ctest --test-dir "build/$preset" --parallel "$jobs" \
    --output-on-failure --no-tests=error --repeat until-pass:2 "$@"
}

formatted() {
  git ls-files '*.cc' '*.h' | xargs clang-format-19 --dry-run --Werror
}

# Over the compile commands of the sanitizers' build, which is clang's too; the preset `tidy` does the
# same while it compiles.
tidy() {
  run-clang-tidy-19 -p build/asan -j "$jobs" -quiet '/src/[a-z]+/(?!.*_test\.cc$).*\.cc$' \
    >build/tidy.log 2>&1 || { grep -E -A4 'error:' build/tidy.log; return 1; }
}

step "setup" scripts/setup.sh --tests || { printf '%s\n' "${report[@]}"; exit 1; }
step "format" formatted
if step "build: release" build release; then
  step "headers compile alone" \
    cmake --build --preset release --target all_verify_interface_header_sets -- --quiet
  step "docs/reference is current" scripts/reference.sh --check
  step "tests: release" run_tests release
fi
if [[ -z $quick ]]; then
  if step "build: ASan and UBSan" build asan; then
    step "tests: ASan and UBSan" run_tests asan --label-regex 'unit|e2e' \
      --label-exclude 'slow|truth' --exclude-regex 'Coverage'
  fi
  step "clang-tidy" tidy
fi

printf '\n== Summary\n'
printf '%s\n' "${report[@]}"
exit $failed
