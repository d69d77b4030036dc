# Our prompts against jinja2's and transformers'.
add_test(NAME interop_chat_template
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/chat_template_diff.py --program $<TARGET_FILE:render_lines>
          --install ${CMAKE_BINARY_DIR}/interop/chat_template)
set_tests_properties(interop_chat_template PROPERTIES LABELS interop TIMEOUT 1800)
