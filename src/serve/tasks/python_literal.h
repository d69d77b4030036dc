// Python literals as models write them in calls, turned into JSON.
#pragma once

#include <string>
#include <string_view>

namespace sis::tasks {

// The arguments of a call, `x=1, y='a'` without the parentheses, as the text of a JSON object.
// Values are numbers, strings, True, False, None (and JSON's spellings of these), lists, tuples and
// dicts of them. False when they are anything else: then `json` means nothing.
bool python_arguments_to_json(std::string_view arguments, std::string& json);

// Whether arguments may be called so: as in Python, and with the further signs that names of
// parameters have elsewhere (max-results, user.id, $filter).
bool is_python_argument_name(std::string_view name);

// One JSON string of any valid UTF-8 text.
void append_json_string(std::string& out, std::string_view text);

}  // namespace sis::tasks
