# Everything foreign that is linked. Why each, and its version floor: docs/dependencies.md.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(GTest REQUIRED)
find_package(Protobuf 3.21 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(Boost 1.74 REQUIRED)  # headers only: Boost.Math
find_package(ZLIB REQUIRED)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
find_path(RAPIDJSON_INCLUDE_DIR rapidjson/reader.h REQUIRED)
include(GoogleTest)
