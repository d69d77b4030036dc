# What our grammars allow, judged by the jsonschema package, and the other way round.
add_test(NAME interop_grammar
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/grammar_schemas.py --program $<TARGET_FILE:sample_lines>
          --install ${CMAKE_BINARY_DIR}/interop/grammar)
set_tests_properties(interop_grammar PROPERTIES LABELS interop TIMEOUT 900)
