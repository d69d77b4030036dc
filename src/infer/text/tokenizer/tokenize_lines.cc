// Tokenises lines from standard input and prints one JSON array per line; a test program.
//
//   tokenize_lines <tokenizer.json or folder> [--no-specials] [--no-offsets] [--max N] [--pair]
//   [--decode] [--as-file]
//
// A line is a JSON string; with --pair an array of two. Printed: [ids, type_ids, offsets] or, with
// --decode (a line is an array of ids then), the text without special tokens and the text with
// them. --as-file cuts and fills as the file says and prints the attention mask as well.
#include <simdjson.h>

#include <charconv>
#include <cstdio>
#include <iostream>
#include <string>

#include "base/strings.h"
#include "infer/text/tokenizer/legacy_config.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace {

std::string print(const sis::text::Encoding& encoding) {
  std::string out =
      fmt::format("[[{}],[{}],[", fmt::join(encoding.ids, ","), fmt::join(encoding.type_ids, ","));
  for (size_t i = 0; i < encoding.offsets.size(); ++i)
    out += fmt::format("{}[{},{}]", i == 0 ? "" : ",", encoding.offsets[i].first,
                       encoding.offsets[i].second);
  out += "]";
  if (!encoding.attention.empty()) out += fmt::format(",[{}]", fmt::join(encoding.attention, ","));
  return out + "]";
}

}  // namespace

int main(int argc, char** argv) {
  std::string path;
  sis::text::EncodeOptions options{.with_offsets = true};
  bool pair = false, decode = false, as_file = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--no-specials")
      options.add_special_tokens = false;
    else if (argument == "--no-offsets")
      options.with_offsets = false;
    else if (argument == "--pair")
      pair = true;
    else if (argument == "--as-file")
      as_file = true;
    else if (argument == "--decode")
      decode = true;
    else if (argument == "--max" && i + 1 < argc)
      options.tokens_max = std::atoi(argv[++i]);
    else
      path = argument;
  }
  auto made = sis::text::Tokenizer::from_folder(path);
  if (path.ends_with(".json")) {
    std::string json;
    if (FILE* file = std::fopen(path.c_str(), "rb")) {
      char buffer[65536];
      for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, file)) > 0;)
        json.append(buffer, got);
      std::fclose(file);
    }
    made = sis::text::Tokenizer::from_json(json);
  }
  if (!made) {
    fmt::print(stderr, "tokenize_lines: {}\n", made.error().message);
    return 1;
  }
  const sis::text::Tokenizer& tokenizer = **made;
  if (as_file) options.truncation = tokenizer.truncation();
  std::ios::sync_with_stdio(false);
  simdjson::dom::parser parser;
  for (std::string line; std::getline(std::cin, line);) {
    simdjson::dom::element element;
    if (parser.parse(line).get(element) != simdjson::SUCCESS) {
      fmt::print(stderr, "tokenize_lines: not JSON: {}\n", sis::in_quotes(line));
      return 1;
    }
    std::string out;
    if (decode) {
      std::vector<int32_t> ids;
      for (simdjson::dom::element id : element) ids.push_back(static_cast<int32_t>(int64_t(id)));
      out = "[";
      out += sis::text::tok::json_string(tokenizer.decode(ids, true));
      out += ",";
      out += sis::text::tok::json_string(tokenizer.decode(ids, false));
      out += "]";
    } else {
      sis::text::Encoding encoding =
          pair ? tokenizer.encode_pair(element.at(0).get_string().value(),
                                       element.at(1).get_string().value(), options)
               : tokenizer.encode(element.get_string().value(), options);
      if (as_file)
        sis::text::pad({&encoding, 1}, tokenizer.padding().value_or(sis::text::Padding{}));
      out = print(encoding);
    }
    out += '\n';
    std::cout.write(out.data(), static_cast<std::streamsize>(out.size()));
  }
  return 0;
}
