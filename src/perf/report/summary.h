// A finished run in words and as JSON.
//
// Latencies count from the moment a request should have been sent. In an open loop the time from
// the actual send stands beside it; in a closed loop both are the same. Requests that were due but
// never sent have no latency, only a least one: where there are any, a second distribution has them
// as well ("all due"). Throughput is good answers
// per second of wall time.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "perf/load/run.h"
#include "perf/report/machine.h"
#include "perf/report/verdict.h"

namespace sis::perf {

// What was run, for the head of a report.
struct RunLabel {
  std::string what;         // "embeddings"
  std::string model;        // may be empty
  std::string load;         // "1 text of 'hello world' per request"
  std::string items_name;   // "texts"; empty when items are requests
  std::string amount_name;  // of Judgement::amount: "audio_seconds"; empty: there is none
  bool counts_cache_hits = false;
  bool counts_tokens = false;
  bool generates = false;  // answers are generated text
};

std::string summary_text(const RunLabel& label, const RunOptions& options, const RunResult& result,
                         bool verbose);
nlohmann::ordered_json summary_json(const RunLabel& label, const RunOptions& options,
                                    const RunResult& result);

// The document of one command: its runs, and what is the same for all of them.
struct Document {
  std::string version, command, started;
  Machine machine;
};
nlohmann::ordered_json document_json(const Document& document, const nlohmann::ordered_json& runs);

// 1,234,567
std::string with_commas(uint64_t value);
// Three significant digits for people: "0.0123", "4.56", "789", "12,345".
std::string short_number(double value);

}  // namespace sis::perf
