#include "perf/report/report_files.h"

#include <algorithm>
#include <iterator>
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
namespace {

struct Form {
  const char* flag;
  std::string ReportFiles::*path;
  std::string (*make)(const Report&);  // null: makes several files
};

constexpr Form kForms[] = {
    {"--html", &ReportFiles::html, html_report},
    {"--csv", &ReportFiles::csv, csv_report},
    {"--markdown", &ReportFiles::markdown, markdown_report},
    {"--summary-export", &ReportFiles::summary_export, k6_summary_export},
    {"--handle-summary", &ReportFiles::handle_summary, k6_handle_summary},
    {"--machine-summary", &ReportFiles::machine_summary, k6_machine_summary},
    {"--hgrm", &ReportFiles::hgrm, nullptr},
};

}  // namespace

bool ReportFiles::any() const {
  return std::any_of(std::begin(kForms), std::end(kForms),
                     [&](const Form& form) { return !(this->*form.path).empty(); });
}

std::string with_suffix(const std::string& path, const std::string& suffix) {
  const size_t slash = path.rfind('/'), dot = path.rfind('.');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  if (dot == std::string::npos || dot <= name) return path + suffix;
  return path.substr(0, dot) + suffix + path.substr(dot);
}

Status check_report_files(const ReportFiles& files) {
  for (const Form& form : kForms)
    if (const std::string& path = files.*form.path; !path.empty())
      if (Status status = check_writable(path); !status.ok())
        return prefixed(form.flag, std::move(status).error());
  return {};
}

Status write_report_files(const ReportFiles& files, const nlohmann::ordered_json& document) {
  if (!files.any()) return {};
  SIS_ASSIGN(const Report report, parse_report(document));
  std::optional<Error> fault;
  const auto write = [&](const char* flag, const std::string& path, const std::string& content) {
    Status written = write_file(path, content);
    if (!written.ok() && !fault) fault = prefixed(flag, std::move(written).error());
  };
  for (const Form& form : kForms) {
    const std::string& path = files.*form.path;
    if (path.empty()) continue;
    if (form.make != nullptr)
      write(form.flag, path, form.make(report));
    else
      for (const auto& [suffix, text] : hgrm_files(report))
        write(form.flag, with_suffix(path, suffix), text);
  }
  if (fault) return std::move(*fault);
  return {};
}

}  // namespace sis::perf
