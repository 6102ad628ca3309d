# Headers from outside that most files include, parsed once: half of all compile time goes there otherwise. Every file
# still includes what it uses; -DGODWIT_PCH=OFF builds without, which shows it.
option(GODWIT_PCH "Precompile the headers of libraries" ON)

set(GODWIT_PCH_HEADERS
    <algorithm> <array> <atomic> <chrono> <cmath> <condition_variable> <cstdint> <cstdlib> <cstring> <filesystem>
    <fstream> <functional> <iostream> <map> <memory> <mutex> <optional> <set> <span> <sstream> <string> <string_view>
    <thread> <tuple> <unordered_map> <utility> <variant> <vector> <fmt/format.h>
    "${CMAKE_SOURCE_DIR}/src/base/nlohmann.h")

# One for the layers, one for the tests: shared between targets, as all have the same flags.
function(godwit_precompile target)
  file(WRITE ${CMAKE_BINARY_DIR}/${target}.cpp "")
  add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/${target}.cpp)
  target_link_libraries(${target} PRIVATE godwit_flags)
  target_precompile_headers(${target} PRIVATE ${GODWIT_PCH_HEADERS} ${ARGN})
  # What ccache needs to see through them.
  target_compile_options(${target} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>"
                                           "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endfunction()

if(GODWIT_PCH)
  godwit_precompile(godwit_pch)
endif()

# godwit_use_precompiled(TARGET FROM): the headers that FROM precompiled. Through them g++ 12 forgets that the standard
# library is not ours, and warns within it, wrongly, of std::string(...) + "...": these warnings are for the layers alone.
function(godwit_use_precompiled target from)
  if(GODWIT_PCH)
    target_compile_options(${target} PRIVATE "$<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>"
                                             "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
    target_precompile_headers(${target} REUSE_FROM ${from})
    if(from MATCHES "^godwit_test_pch")
      target_compile_options(${target} PRIVATE
        "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow;-Wno-stringop-overread>")
    endif()
  endif()
endfunction()

# Files of a layer or of its tests compiled eight at a time: from nothing, in half the time. So names in unnamed namespaces
# must differ within a folder. Every file still compiles by itself; -DGODWIT_UNITY=OFF shows it, and suits who edits.
option(GODWIT_UNITY "Compile files together" ON)
function(godwit_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${GODWIT_UNITY} UNITY_BUILD_BATCH_SIZE 8)
endfunction()
