// The files a result document can be turned into, in one call.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"

namespace sis::perf {

// Names of the files that are wanted; empty: not wanted.
struct ReportFiles {
  std::string html, csv, markdown, hgrm;
  std::string summary_export;                   // k6 --summary-export
  std::string handle_summary, machine_summary;  // k6's other two shapes

  bool any() const;
};

// Whether all of them could be written now; the first fault as of write_report_files(). Leaves no
// file behind and changes none.
Status check_report_files(const ReportFiles& files);

// Makes them all from `document`; each file is written whole or not at all. The first fault comes
// back with the flag it belongs to ("--html: cannot write ..."); the others are still written. Of
// several runs the .hgrm files after the first carry a number: "run.hgrm", "run.2.hgrm".
Status write_report_files(const ReportFiles& files, const nlohmann::ordered_json& document);

// "out/run.hgrm" and ".2" -> "out/run.2.hgrm".
std::string with_suffix(const std::string& path, const std::string& suffix);

}  // namespace sis::perf
