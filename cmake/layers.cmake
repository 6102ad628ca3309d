# How a folder of src/ becomes a library, and how a file's suffix becomes compiler flags.

add_library(godwit_flags INTERFACE)
target_include_directories(godwit_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
# -ffp-contract=off: a fused multiply-add happens where the code says so and nowhere else (docs/architecture.md, Numerics).
target_compile_options(godwit_flags INTERFACE -Wall -Wextra -Werror -Wno-psabi -ffp-contract=off)
if(GODWIT_SANITIZE)
  target_compile_options(godwit_flags INTERFACE -fsanitize=${GODWIT_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(godwit_flags INTERFACE -fsanitize=${GODWIT_SANITIZE})
  if(GODWIT_SANITIZE MATCHES "undefined")
    target_compile_options(godwit_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
  target_compile_definitions(godwit_flags INTERFACE GODWIT_SANITIZED)
endif()
# What the fuzz targets call reports which of its branches an input took: that is what guides them. This is
# -fsanitize=fuzzer-no-link by its parts, which also go with headers precompiled without it.
set(GODWIT_FUZZED base tensor formats text)
set(GODWIT_COVERAGE -fsanitize-coverage=inline-8bit-counters,indirect-calls,trace-cmp,pc-table)
target_link_libraries(godwit_flags INTERFACE Threads::Threads fmt::fmt nlohmann_json::nlohmann_json OpenSSL::Crypto)

# godwit_layer(NAME [DEPENDS...]): src/NAME/*.cpp (main.cpp apart) as an object library, so that nothing that registers
# itself is dropped by the linker.
function(godwit_layer name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(NOT sources)
    file(WRITE ${CMAKE_BINARY_DIR}/empty_${name}.cpp "")
    set(sources ${CMAKE_BINARY_DIR}/empty_${name}.cpp)
  endif()
  add_library(godwit_${name}_objects OBJECT ${sources})
  target_link_libraries(godwit_${name}_objects PUBLIC godwit_flags)
  godwit_use_precompiled(godwit_${name}_objects godwit_pch)
  godwit_compile_together(godwit_${name}_objects)
  if(GODWIT_FUZZ AND name IN_LIST GODWIT_FUZZED)
    target_compile_options(godwit_${name}_objects PRIVATE ${GODWIT_COVERAGE})
  endif()
  add_library(godwit_${name} INTERFACE)
  target_sources(godwit_${name} INTERFACE $<TARGET_OBJECTS:godwit_${name}_objects>)
  target_link_libraries(godwit_${name} INTERFACE godwit_flags)
  set(all godwit_${name})
  foreach(dependency ${ARGN})
    list(APPEND all ${GODWIT_CLOSURE_${dependency}})
  endforeach()
  list(REMOVE_DUPLICATES all)
  # Objects are linked once each: a program names the whole closure of a layer with godwit_link.
  set(GODWIT_CLOSURE_${name} ${all} PARENT_SCOPE)
endfunction()

# godwit_link(TARGET LAYER...): links the layers and all that they stand on.
function(godwit_link target)
  set(all "")
  foreach(layer ${ARGN})
    list(APPEND all ${GODWIT_CLOSURE_${layer}})
  endforeach()
  list(REMOVE_DUPLICATES all)
  target_link_libraries(${target} PRIVATE ${all})
endfunction()

# src/kernels: x.scalar.cpp and plain x.cpp run everywhere; x.avx2.cpp and x.avx512.cpp get the flags of their level;
# x.simd.cpp is compiled once for each SIMD level, in that level's namespace (GODWIT_LEVEL).
function(godwit_kernels)
  file(GLOB all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/kernels/*.cpp)
  set(plain ${all})
  list(FILTER plain EXCLUDE REGEX "(avx2|avx512|simd)\\.cpp$")
  set(simd ${all})
  list(FILTER simd INCLUDE REGEX "\\.simd\\.cpp$")
  set(objects "")
  set(level_flags -O3)
  if(GODWIT_SANITIZE MATCHES "undefined")
    # Else minutes a file. Bad pointers are what the address sanitizer finds, and the same arithmetic is checked in the
    # scalar level, which they equal by bits.
    set(level_flags -fno-sanitize=undefined)
  elseif(GODWIT_SANITIZE)
    set(level_flags "")
  endif()
  foreach(level avx2 avx512)
    set(sources ${all})
    list(FILTER sources INCLUDE REGEX "[./]${level}\\.cpp$")
    list(APPEND sources ${simd})
    add_library(godwit_kernels_${level} OBJECT ${sources})
    target_link_libraries(godwit_kernels_${level} PUBLIC godwit_flags)
    target_compile_definitions(godwit_kernels_${level} PRIVATE GODWIT_LEVEL=${level} GODWIT_LEVEL_${level}=1)
    # g++ 12's AVX-512 headers trip these two warnings themselves.
    target_compile_options(godwit_kernels_${level} PRIVATE ${level_flags} -Wno-uninitialized
                           $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    list(APPEND objects $<TARGET_OBJECTS:godwit_kernels_${level}>)
  endforeach()
  target_compile_options(godwit_kernels_avx2 PRIVATE -mavx2 -mfma -mf16c)
  target_compile_options(godwit_kernels_avx512 PRIVATE -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
                                                       -mavx512vnni -mprefer-vector-width=512)
  add_library(godwit_kernels_objects OBJECT ${plain})
  target_link_libraries(godwit_kernels_objects PUBLIC godwit_flags)
  add_library(godwit_kernels INTERFACE)
  target_sources(godwit_kernels INTERFACE $<TARGET_OBJECTS:godwit_kernels_objects> ${objects})
  target_link_libraries(godwit_kernels INTERFACE godwit_flags)
  set(GODWIT_CLOSURE_kernels godwit_kernels ${GODWIT_CLOSURE_tensor} PARENT_SCOPE)
endfunction()
