# Everything foreign that is linked. Why each, and its version floor: docs/dependencies.md.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(GTest REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(Boost 1.74 REQUIRED)  # headers only: Boost.Math
find_package(ZLIB REQUIRED)
find_package(PNG 1.6 REQUIRED)
find_package(JPEG REQUIRED)  # libjpeg-turbo
find_package(OpenSSL 3.0 REQUIRED)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
find_path(RAPIDJSON_INCLUDE_DIR rapidjson/reader.h REQUIRED)
include(GoogleTest)

# The engine that runs ONNX models: scripts/setup.sh unpacks OpenVINO's wheel. Without it everything
# but the engine module is built.
set(SEXTANT_OPENVINO_VERSION 2026.4.1)
set(OpenVINO_DIR "${SEXTANT_DEPS}/openvino-${SEXTANT_OPENVINO_VERSION}/openvino/cmake" CACHE PATH "OpenVINO's CMake package")
if(EXISTS "${OpenVINO_DIR}" AND NOT SEXTANT_SANITIZE AND NOT SEXTANT_FUZZ)
  find_package(OpenVINO COMPONENTS Runtime)
endif()
if(NOT OpenVINO_FOUND)
  message(STATUS "No OpenVINO in ${SEXTANT_DEPS}: the engine module for ONNX models is not built (scripts/setup.sh installs it)")
endif()
