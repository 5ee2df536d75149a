# SPDX-License-Identifier: Apache-2.0
# trapline_module(NAME [LINK libs...] [EXCEPT sources...]): one static library from the folder's own .cpp files.
function(trapline_module name)
  cmake_parse_arguments(ARG "" "" "LINK;PRECOMPILE;EXCEPT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(TRANSFORM ARG_EXCEPT PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  list(REMOVE_ITEM sources ${ARG_EXCEPT})
  add_library(trapline_${name} STATIC ${sources})
  target_include_directories(trapline_${name} PUBLIC ${PROJECT_SOURCE_DIR}/analyzer ${PROJECT_SOURCE_DIR})
  target_link_libraries(trapline_${name} PUBLIC ${ARG_LINK})
  if(ARG_PRECOMPILE)
    target_precompile_headers(trapline_${name} PRIVATE ${ARG_PRECOMPILE})
  endif()
endfunction()
