#include "perf/bench/text_flags.h"

#include <utility>

#include "base/rng.h"
#include "base/strings.h"

namespace sis::perf {
namespace {

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

}  // namespace

void TextFlags::add_to(FlagSet& flags, std::vector<std::string> lengths_flags,
                       const std::string& distinct_help) {
  const std::string variable = upper(noun);
  flags.text({{noun}, {variable}}, &text, "TEXT", concat("the ", noun, " to send"));
  flags.text({{noun + "-file"}, {variable + "_FILE"}}, &file, "FILE",
             concat("one ", noun, " per line, used in turn"));
  if (!distinct_help.empty())
    flags.toggle({{"shuffle"}, {}}, &shuffle,
                 "put the file's lines in random order first (--seed)");
  flags.text({std::move(lengths_flags), {lengths_variable}}, &lengths, "SPEC",
             concat("made-up ", noun,
                    "s of so many words: 16,128,512 or uniform:10:200, normal:100:20, "
                    "lognormal:180, zipf:1:500, file:PATH"));
  if (!distinct_help.empty()) flags.toggle({{"distinct"}, {}}, &distinct, distinct_help);
}

Status TextFlags::choose(const FlagSet& flags) {
  const std::string file_flag = noun + "-file", variable = upper(noun);
  int by_flag = 0;
  for (const std::string& name : {noun, file_flag, lengths_flag})
    by_flag += flags.source(name) == FlagSource::kFlag;
  if (by_flag > 1)
    return Error{Code::kInvalidArgument, concat("--", noun, ", --", file_flag, ", --", lengths_flag,
                                                ": want only one of them")};
  if (flags.source(noun) == FlagSource::kFlag) file.clear(), lengths.clear();
  if (flags.source(file_flag) == FlagSource::kFlag) lengths.clear();
  if (flags.source(lengths_flag) == FlagSource::kFlag) file.clear();
  if (!file.empty() && !lengths.empty())
    return Error{Code::kInvalidArgument,
                 concat(variable, "_FILE, ", lengths_variable, ": want only one of them")};
  if (shuffle && file.empty())
    return Error{Code::kInvalidArgument, concat("--shuffle: wants --", file_flag, " as well")};
  if (!is_utf8(text)) return Error{Code::kInvalidArgument, concat("--", noun, ": want UTF-8")};
  return {};
}

Result<TextSource> TextFlags::source(uint64_t seed) const {
  TextSource source{.text = text};
  if (!file.empty()) {
    SIS_ASSIGN(source.texts, read_lines(file));
    if (shuffle) {
      Rng rng(seed);
      for (size_t i = source.texts.size(); i > 1; --i)
        std::swap(source.texts[i - 1], source.texts[rng.below(i)]);
    }
  }
  if (!lengths.empty()) {
    SIS_ASSIGN(source.lengths, LengthSpec::parse(lengths));
  }
  return source;
}

std::string TextFlags::shown(const TextSource& source) const {
  if (source.lengths) return concat("made-up, ", lengths, " words");
  if (!source.texts.empty())
    return concat(source.texts.size(), " lines of ", file, shuffle ? ", shuffled" : "");
  return in_quotes(text, 40);
}

Result<TextRun> resolve_text_run(const FlagSet& flags, const ServerFlags& server,
                                 const LoadFlags& load, const TextFlags& texts) {
  TextRun run;
  SIS_ASSIGN(run.server, server.resolve(flags));
  SIS_ASSIGN(run.options, load.resolve(flags, run.server.url));
  SIS_ASSIGN(run.texts, texts.source(run.options.seed));
  return run;
}

}  // namespace sis::perf
