// A report as Markdown, in the usual template of load test notes: configuration, one table line per
// kind of request, totals and a conclusion.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

// "## Load Test Run: 2026-01-31T12:00:00Z" and so on for each run. Texts of the server and of the
// command are escaped: they cannot make headings, tables, HTML or hidden
// links.
std::string markdown_report(const Report& report);

// `text` as plain words on one line of Markdown.
std::string markdown_escaped(std::string_view text);

}  // namespace sis::perf
