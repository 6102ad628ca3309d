# Which commit a program was built from: godwit_commit(TARGET) adds the definition of git_commit() (src/cli/version.h)
# to TARGET. Asked anew at every build, written only when it changed; "unknown" where there is no repository or no git.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit "")
  if(EXISTS ${SOURCE}/.git)
    execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --exclude=* --abbrev=12
                    OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(NOT commit MATCHES "^[0-9a-f]+(-dirty)?$")
    set(commit unknown)
  endif()
  file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
#include "cli/version.h"

const char* godwit::git_commit() { return "@commit@"; }
]] @ONLY)
else()
  function(godwit_commit target)
    set(file ${CMAKE_BINARY_DIR}/generated/commit.cpp)
    add_custom_target(godwit_commit_file BYPRODUCTS ${file} COMMENT ""
                      COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR} -DOUTPUT=${file}
                              -P ${CMAKE_SOURCE_DIR}/cmake/commit.cmake)
    target_sources(${target} PRIVATE ${file})
    add_dependencies(${target} godwit_commit_file)
  endfunction()
endif()
