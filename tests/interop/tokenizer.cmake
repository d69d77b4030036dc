# Our token ids and offsets against the tokenizers package.
add_test(NAME interop_tokenizer
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/tokenizer_diff.py --program $<TARGET_FILE:tokenize_lines>
          --count 2000 --few 200
          --install ${CMAKE_BINARY_DIR}/interop/tokenizer)
set_tests_properties(interop_tokenizer PROPERTIES LABELS interop TIMEOUT 1800)
# Checkpoints without tokenizer.json against the transformers package.
add_test(NAME interop_tokenizer_legacy
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/tokenizer_legacy.py --program $<TARGET_FILE:tokenize_lines>
          --install ${CMAKE_BINARY_DIR}/interop/tokenizer_legacy)
set_tests_properties(interop_tokenizer_legacy PROPERTIES LABELS interop TIMEOUT 1800)
