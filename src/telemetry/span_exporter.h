// Sends finished spans to a collector from a thread of its own, so that no request ever waits for
// it.
//
// offer() moves spans into a bounded queue and returns; when they leave is span_batcher.h's. How
// bytes reach the collector is the transport's, which only the exporter's thread calls. Any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "telemetry/log.h"
#include "telemetry/otlp_json.h"
#include "telemetry/span_batcher.h"

namespace sis::telemetry {

class SpanTransport {
 public:
  struct Answer {
    ExportOutcome outcome = ExportOutcome::kSent;
    uint64_t spans_refused = 0;  // of kSent: how many the collector left out
    std::string reason;          // of anything else, for the log
  };
  virtual ~SpanTransport() = default;
  // Blocks for about `timeout` at most.
  virtual Answer send(const std::string& body, Duration timeout) = 0;
};

struct SpanExportOptions {
  SpanBatchOptions batches;
  Duration timeout = std::chrono::seconds(5);          // of one attempt
  Duration flush_budget = std::chrono::seconds(3);     // of the destructor
  Duration complain_every = std::chrono::seconds(60);  // one line about a dead collector so often
};

class SpanExporter {
 public:
  SpanExporter(const SpanExportOptions& options, Resource resource,
               std::unique_ptr<SpanTransport> transport, Logger log);
  // Sends what waits, within the budget; what is left then is dropped. A transport stuck for longer
  // is left to its thread.
  ~SpanExporter();
  SpanExporter(const SpanExporter&) = delete;

  // The spans of one request. False: the queue is full, they are dropped and counted.
  bool offer(std::vector<Span> spans);
  SpanCounts counts() const;

 private:
  struct State;
  static void run(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;  // shared: a stuck thread may outlive the exporter
};

}  // namespace sis::telemetry
