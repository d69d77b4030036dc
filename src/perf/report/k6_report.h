// A report in the shapes k6 writes, so that dashboards and scripts made for k6 read it.
//
//   http_req_duration   good and failed answers from the actual send, as k6 counts; the same of
//   good
//                       answers alone under {expected_response:true}
//   latency             good answers from the intended send, which k6 does not know
//   http_req_blocked    wait for a free connection; http_req_connecting, _tls_handshaking per
//                       connection made
//   {scenario:NAME}     sub-metrics of the parts of a mix
//   ttft, itl, tpot, output_tokens, prompt_tokens, goodput   of generated text
//
// These are the names that thresholds use.
//
// Runs of one document are taken together, as the scenarios of one k6 test are. Percentiles come
// from histograms (three significant digits, a value that was measured); k6 interpolates between
// two neighbours in the sorted list. The two differ by less than the gap between those neighbours
// or 0.1 %.
#pragma once

#include <string>

#include "perf/report/report_data.h"

namespace sis::perf {

// --summary-export: {root_group, metrics}. A threshold is true when it was crossed.
std::string k6_summary_export(const Report& report);
// What handleSummary(data) is given: {root_group, options, state, metrics}; thresholds hold ok.
std::string k6_handle_summary(const Report& report);
// --new-machine-readable-summary: {version, config, metadata, results}.
std::string k6_machine_summary(const Report& report);

}  // namespace sis::perf
