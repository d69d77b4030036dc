// Who is at fault, and what is said to help.
#include "perf/report/verdict.h"

#include <gtest/gtest.h>

#include <functional>

namespace sis::perf {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RunOptions options_of(double rate) {
  RunOptions options{.url = *net::parse_url("http://localhost:8000"), .connections = 8};
  options.rate = rate;
  return options;
}

// 1000 requests answered well within 4 s, from one thread on a machine of 4 cores.
RunResult good_result() {
  RunResult result{.tally = {}, .peer = "127.0.0.1:8000"};
  result.cores = 4;
  Tally& tally = result.tally;
  tally.sent = tally.ok = 1000;
  tally.latency.record(milliseconds(20), 1000);
  tally.started = TimePoint(seconds(100));
  tally.last_done = TimePoint(seconds(104));
  tally.cpu_s = 0.2;
  tally.cpu_share_max = 0.05;
  return result;
}

TEST(Verdict, TellsServerFromGenerator) {
  RunOptions closed = options_of(0), open = options_of(1000);
  const auto kind = [](const RunOptions& options, const std::function<void(Tally&)>& change) {
    RunResult result = good_result();
    change(result.tally);
    return judge_run(options, result).kind;
  };
  EXPECT_EQ(kind(closed, [](Tally&) {}), VerdictKind::kValid);
  EXPECT_EQ(kind(closed, [](Tally& t) { t.cpu_share_max = 0.99; }),
            VerdictKind::kGeneratorSaturated);
  EXPECT_EQ(kind(closed, [](Tally& t) { t.gave_up = true; }), VerdictKind::kIncomplete);
  EXPECT_EQ(kind(closed, [](Tally& t) { t.interrupted = true; }), VerdictKind::kIncomplete);
  EXPECT_EQ(kind(closed, [](Tally& t) { t.ok = 0; }), VerdictKind::kFailed);
  EXPECT_EQ(kind(open, [](Tally& t) { t.late.record(milliseconds(0), 1000); }),
            VerdictKind::kValid);
  EXPECT_EQ(kind(open, [](Tally& t) { t.late.record(milliseconds(20), 1000); }),
            VerdictKind::kGeneratorSaturated);
  EXPECT_EQ(kind(open, [](Tally& t) { t.waited.record(milliseconds(500), 1000); }),
            VerdictKind::kServerSaturated);
  EXPECT_EQ(kind(open, [](Tally& t) { t.unsent = 500; }), VerdictKind::kServerSaturated);
  // 1.5 % never sent: too few to count by, yet with what they waited they are the last percent.
  EXPECT_EQ(kind(open,
                 [](Tally& t) {
                   t.waited.record(milliseconds(0), 1000);
                   t.service.record(milliseconds(5), 1000);
                   t.unsent = 15;
                   t.unsent_waited.record(milliseconds(300), 15);
                 }),
            VerdictKind::kServerSaturated);
  EXPECT_EQ(kind(open,
                 [](Tally& t) {
                   t.waited.record(milliseconds(0), 1000);
                   t.service.record(milliseconds(5), 1000);
                   t.unsent = 5;  // a moment without a free connection at the end
                   t.unsent_waited.record(milliseconds(1), 5);
                 }),
            VerdictKind::kValid);
  // An open loop spins near due sends: its CPU says nothing while the sends are on time.
  EXPECT_EQ(kind(open, [](Tally& t) { t.cpu_share_max = 1; }), VerdictKind::kValid);
}

// What is named is what the figures speak for: no threads where there are no cores or connections,
// no spinning where it spins already or would take the server's core.
TEST(Verdict, NamesWhatMayHelpTheGenerator) {
  const auto reason = [](const RunOptions& options, const std::function<void(RunResult&)>& change) {
    RunResult result = good_result();
    change(result);
    const Verdict verdict = judge_run(options, result);
    EXPECT_EQ(verdict.kind, VerdictKind::kGeneratorSaturated) << verdict.reason;
    return verdict.reason;
  };
  const auto late = [](RunResult& result) { result.tally.late.record(milliseconds(20), 1000); };
  RunOptions open = options_of(1000);
  EXPECT_EQ(reason(open, late),
            "its own sends were late: p99 20.0 ms, max 20.0 ms, CPU 5 %; what may help: --spin (it "
            "need not be woken for each send)");
  const auto late_and_busy = [&](RunResult& result) {
    late(result);
    result.tally.cpu_share_max = 0.99;
    result.tally.cpu_wait_s = 0.48;
  };
  EXPECT_EQ(
      reason(open, late_and_busy),
      "its own sends were late: p99 20.0 ms, max 20.0 ms, CPU 99 %; what may help: --spin (it "
      "need not be woken for each send), more --threads (now 1; there are 4 cores), cores that "
      "nothing else uses (it waited for one 12 % of the time)");
  open.spin = true;
  EXPECT_EQ(reason(open, late), "its own sends were late: p99 20.0 ms, max 20.0 ms, CPU 5 %");
  open.spin = false;
  // One core for both: spinning would starve the server; not so when that is elsewhere.
  const auto one_core = [&](RunResult& result) {
    late(result);
    result.cores = 1;
  };
  EXPECT_EQ(reason(open, one_core).find("--spin"), std::string::npos);
  EXPECT_NE(reason(open,
                   [&](RunResult& result) {
                     one_core(result);
                     result.peer = "192.0.2.7:80";
                   })
                .find("--spin"),
            std::string::npos);

  RunOptions closed = options_of(0);
  const auto busy = [](RunResult& result) { result.tally.cpu_share_max = 0.99; };
  EXPECT_EQ(reason(closed, busy),
            "its busiest thread used or waited for a core 99 % of the time: the server may be "
            "faster; what may help: more --threads (now 1; there are 4 cores)");
  closed.connections = 1;  // nothing to spread
  EXPECT_EQ(reason(closed, busy).find("help"), std::string::npos);
  closed.connections = 64;
  EXPECT_NE(reason(closed,
                   [&](RunResult& result) {
                     busy(result);
                     result.threads = 4;
                   })
                .find("; what may help: a machine with more cores, or several generators"),
            std::string::npos);
  closed.think_max = milliseconds(50);
  EXPECT_NE(reason(closed, late).find("after think times: p99 20.0 ms"), std::string::npos);
  EXPECT_NE(reason(closed, late).find("--spin"), std::string::npos);
}

}  // namespace
}  // namespace sis::perf
