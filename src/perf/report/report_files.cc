#include "perf/report/report_files.h"

#include <optional>

#include "base/strings.h"
#include "perf/report/csv_report.h"
#include "perf/report/hgrm_report.h"
#include "perf/report/html_report.h"
#include "perf/report/k6_report.h"
#include "perf/report/markdown_report.h"
#include "perf/report/report_data.h"
#include "perf/report/write_file.h"

namespace sis::perf {

bool ReportFiles::any() const {
  for (const auto* file :
       {&html, &csv, &markdown, &hgrm, &summary_export, &handle_summary, &machine_summary})
    if (!file->empty()) return true;
  return false;
}

std::string with_suffix(const std::string& path, const std::string& suffix) {
  const size_t slash = path.rfind('/'), dot = path.rfind('.');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  if (dot == std::string::npos || dot <= name) return path + suffix;
  return path.substr(0, dot) + suffix + path.substr(dot);
}

Status write_report_files(const ReportFiles& files, const nlohmann::ordered_json& document) {
  if (!files.any()) return {};
  SIS_ASSIGN(const Report report, parse_report(document));
  std::optional<Error> fault;
  const auto write = [&](const char* flag, const std::string& path, auto make) {
    if (path.empty()) return;
    Status written = write_file(path, make(report));
    if (!written.ok() && !fault) fault = prefixed(flag, std::move(written).error());
  };
  write("--html", files.html, html_report);
  write("--csv", files.csv, csv_report);
  write("--markdown", files.markdown, markdown_report);
  write("--summary-export", files.summary_export, k6_summary_export);
  write("--handle-summary", files.handle_summary, k6_handle_summary);
  write("--machine-summary", files.machine_summary, k6_machine_summary);
  if (!files.hgrm.empty())
    for (const auto& [suffix, text] : hgrm_files(report))
      write("--hgrm", with_suffix(files.hgrm, suffix),
            [&text = text](const Report&) { return text; });
  if (fault) return std::move(*fault);
  return {};
}

}  // namespace sis::perf
