# Real clients and a real checkpoint: they install pinned packages below the build folder, so they want the registries.
if(TARGET sis)
  foreach(name openai openai_chat minilm rerank_clients)
    add_test(NAME interop_${name}
      COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/test_${name}.py $<TARGET_FILE:sis> ${CMAKE_BINARY_DIR}/interop)
    set_tests_properties(interop_${name} PROPERTIES LABELS interop TIMEOUT 900 RESOURCE_LOCK interop_packages)
  endforeach()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/tokenizer.cmake OPTIONAL)
include(${CMAKE_CURRENT_LIST_DIR}/chat_template.cmake OPTIONAL)
include(${CMAKE_CURRENT_LIST_DIR}/grammar.cmake OPTIONAL)
