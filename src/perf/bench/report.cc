// `sis report`: makes reports of results that were kept as JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "perf/bench/commands.h"
#include "perf/bench/report_flags.h"
#include "perf/report/report_data.h"
#include "perf/report/report_text.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kFilesMax = 256;

int fail(const BenchContext& context, const Error& error, int exit_code) {
  fmt::print(context.messages, "sis report: {}\n", error.message);
  return exit_code;
}

// One document with the runs of all; what stands above the runs is the first file's.
Result<Json> read_all(const std::vector<std::string>& paths) {
  Json all;
  for (const std::string& path : paths) {
    SIS_ASSIGN(Json document, read_document(path));
    const auto report = parse_report(document);
    if (!report.ok()) return prefixed(path, report.error());
    if (all.is_null())
      all = std::move(document);
    else
      for (Json& run : document["runs"]) all["runs"].push_back(std::move(run));
  }
  return all;
}

}  // namespace

int report_command(const BenchContext& context, const std::vector<std::string>& arguments) {
  ReportFiles files;
  FlagSet flags("sis report FILE.json... [flags]",
                "Makes reports of results that were kept with --json. Runs of several files come\n"
                "together in one report. Without flags, prints a summary.");
  flags.section("Output");
  add_report_flags(flags, &files);
  const auto paths = flags.parse(arguments, context.environment);
  if (!paths.ok()) return fail(context, paths.error(), kExitUsage);
  if (flags.help_wanted()) {
    fmt::print(context.out, "{}", flags.help());
    return kExitOk;
  }
  if (paths->empty() || paths->size() > kFilesMax)
    return fail(context,
                Error{Code::kInvalidArgument,
                      concat("want 1 to ", kFilesMax,
                             " files of results, as in: sis report run.json --html run.html; got ",
                             paths->size())},
                kExitUsage);
  const auto document = read_all(*paths);
  if (!document.ok()) return fail(context, document.error(), kExitUsage);
  if (!files.any()) {
    const auto report = parse_report(*document);
    if (!report.ok()) return fail(context, report.error(), kExitUsage);
    fmt::print(context.out, "{}", report_text(*report));
    return kExitOk;
  }
  const Status written = write_report_files(files, *document);
  if (!written.ok()) return fail(context, written.error(), kExitFailed);
  return kExitOk;
}

}  // namespace sis::perf
