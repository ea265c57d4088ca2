#!/usr/bin/env bash
# Installs what building and running Sextant needs on Debian 12.
#
#   scripts/setup.sh            to build it and run it
#   scripts/setup.sh --tests    and everything that its tests need, real servers and clients included
#
# Debian's packages come from apt, as root or through sudo. What Debian does not ship comes from
# PyPI, pinned by hash in scripts/requirements/, into folders of its own below SEXTANT_DEPS
# (default: ~/.cache/sextant); the system's Python stays untouched. What is there already is left
# alone, so running it again is quick and silent, and finishes what an interrupted run began.
set -euo pipefail
requirements=$(cd "$(dirname "$0")" && pwd)/requirements
command=("$0" "$@")
deps=${SEXTANT_DEPS:-$HOME/.cache/sextant}
partial=$deps/.partial # what is not complete yet; nobody looks for anything in there

# A package, or package>=version where an older one does not do. docs/dependencies.md has the whys.
packages=(
  'g++>=4:12.2' 'cmake>=3.25' ninja-build ccache pkg-config ca-certificates
  'python3>=3.11' python3-venv
  'libfmt-dev>=9' 'libyaml-cpp-dev>=0.7' rapidjson-dev 'libprotobuf-dev>=3.21' protobuf-compiler
  'libboost-dev>=1.74' 'libnghttp2-dev>=1.52' zlib1g-dev 'libssl-dev>=3.0'
  'libpng-dev>=1.6' 'libjpeg62-turbo-dev>=1:2.1' libgtest-dev
)
test_packages=(
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev lld-19 valgrind libc6-dbg
  wrk nghttp2-client curl jq openssl
  libb64-0d       # perf_analyzer
  'libpython3.11' # Triton's Python backend
  'podman>=4.3' 'runc>=1.1' # Triton in a container
)

fail() {
  echo "setup: $*" >&2
  exit 1
}

# run WHAT COMMAND...: one line of progress; the command's own words are shown when it fails.
run() {
  echo "setup: $1"
  shift
  "$@" >"$partial/log" 2>&1 && return
  tail -n 20 "$partial/log" >&2
  fail "this failed (above are its last words): $*"
}

# Only one set-up at a time works on the folder; an earlier one may have left parts behind.
begin_work() {
  [[ -z ${working-} ]] || return 0
  working=yes
  mkdir -p "$deps"
  exec 9>"$deps/.lock"
  if ! flock --nonblock 9; then
    echo "setup: waiting for another setup.sh to finish"
    flock 9
    exec 9>&-
    exec "${command[@]}" # to see what it has left to do
  fi
  rm -rf "$partial"
  mkdir "$partial"
  trap 'rm -rf "$partial"' EXIT
}

# --- Debian's packages ---------------------------------------------------------------------------

# Prints those of the packages that are absent or too old.
missing_packages() {
  local -A have=()
  local name version state package
  while read -r name version state; do
    if [[ $state == installed ]]; then have[$name]=$version; fi
  done < <(dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' \
    "${packages[@]%%>=*}" 2>/dev/null)
  for package in "${packages[@]}"; do
    version=${have[${package%%>=*}]-}
    if [[ -z $version ]] ||
      { [[ $package == *'>='* ]] && dpkg --compare-versions "$version" lt "${package##*>=}"; }; then
      echo "$package"
    fi
  done
}

install_packages() {
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || fail "needs root or sudo for: apt-get install ${missing[*]%%>=*}"
    as_root=(sudo)
  fi
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  begin_work
  run "finishing what dpkg may have been interrupted in" "${as_root[@]}" dpkg --configure -a
  echo "setup: reading the package lists"
  "${as_root[@]}" apt-get update -qq >"$partial/log" 2>&1 ||
    echo "setup: not all package lists could be read; going on with what there is"
  run "installing ${missing[*]%%>=*}" "${as_root[@]}" apt-get install --yes --fix-broken \
    --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]%%>=*}"
  mapfile -t missing < <(missing_packages)
  [[ ${#missing[@]} -eq 0 ]] || fail "apt has no new enough ${missing[*]}: Debian 12 or later has"
}

# --- PyPI's wheels -------------------------------------------------------------------------------

# is_complete FOLDER NAME FILE: whether the folder, which has the file, was made from NAME.txt as it
# is today.
is_complete() {
  [[ -e $deps/$1/$3 ]] && cmp -s "$requirements/$2.txt" "$deps/$1/.requirements.txt"
}

# A folder appears under its name complete or not at all.
complete() {
  local folder=$1 name=$2
  cp "$requirements/$name.txt" "$partial/$folder/.requirements.txt"
  if [[ -e $deps/$folder ]]; then mv "$deps/$folder" "$partial/$folder.old"; fi
  mv "$partial/$folder" "$deps/$folder"
}

# pip_install PYTHON NAME OPTION...: exactly the wheels in NAME.txt.
pip_install() {
  local python=$1 name=$2
  shift 2
  "$python" -m pip install --disable-pip-version-check --no-input --no-deps --require-hashes \
    --only-binary :all: --no-compile --requirement "$requirements/$name.txt" "$@"
}

# unpack FOLDER NAME: the wheels' contents, not for a Python to import.
unpack() {
  begin_work
  if [[ ! -e $partial/pip ]]; then
    run "preparing pip" /usr/bin/python3 -m venv "$partial/pip"
  fi
  run "installing $1" \
    pip_install "$partial/pip/bin/python3" "$2" --target "$partial/$1"
}

install_openvino() {
  local folder
  folder=openvino-$(sed -n 's/^openvino==\([^ ]*\).*/\1/p' "$requirements/openvino.txt")
  if is_complete "$folder" openvino openvino/cmake/OpenVINOConfig.cmake; then return; fi
  unpack "$folder" openvino
  complete "$folder" openvino
}

install_triton() {
  local folder=triton-2.51.0 server=pytriton/tritonserver
  if is_complete "$folder" triton "$server/bin/tritonserver"; then return; fi
  unpack "$folder" triton
  # The Python backend looks for the stub of its Python beside itself.
  server=$partial/$folder/$server
  cp "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$server/backends/python/"
  chmod +x "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
  complete "$folder" triton
}

# install_venv FOLDER NAME FILE: a Python with the wheels in NAME.txt, FILE among what they bring.
install_venv() {
  local folder=$1 name=$2
  if is_complete "$folder" "$name" "$3"; then return; fi
  begin_work
  run "preparing $folder" /usr/bin/python3 -m venv "$partial/$folder"
  run "installing $folder" pip_install "$partial/$folder/bin/python3" "$name"
  # The scripts in bin/ name their Python by its whole path.
  grep -rlIFZ "$partial/$folder" "$partial/$folder/bin" "$partial/$folder/pyvenv.cfg" |
    xargs -0 sed -i "s|$partial/$folder|$deps/$folder|g"
  complete "$folder" "$name"
}

# Python with Triton's client, and perf_analyzer.
install_tests_venv() { install_venv tests-venv tests bin/perf_analyzer; }

install_model_analyzer() {
  install_venv model-analyzer-1.58.0 model_analyzer bin/model-analyzer
}

# -------------------------------------------------------------------------------------------------

main() {
  local tests=
  case $* in
  '') ;;
  --tests) tests=yes ;;
  *) fail "usage: scripts/setup.sh [--tests]" ;;
  esac
  command -v apt-get >/dev/null ||
    fail "knows only Debian 12 and what descends from it; elsewhere, install by hand: ${packages[*]}"
  if [[ -n $tests ]]; then packages+=("${test_packages[@]}"); fi
  install_packages
  if [[ $(uname -m) != x86_64 ]]; then
    echo "setup: OpenVINO, Triton and perf_analyzer are pinned for x86_64 and left out on" \
      "$(uname -m): no ONNX models in sextant serve, no tests against real peers" >&2
    return
  fi
  install_openvino
  if [[ -n $tests ]]; then
    install_triton
    install_tests_venv
    install_model_analyzer
  fi
}

main "$@"
