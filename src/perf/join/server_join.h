// What the server says about a run, beside what the generator saw: its metrics before, while and
// after.
//
// begin() looks for a page it knows (server_kind.h) at /metrics, or for the statistics of a KServe
// model; a thread scrapes while the run goes on; begin_again() forgets what a warm-up has cost;
// end() has the last word. Nothing here fails a run:
// a server without metrics gives an empty object, one that was asked for by URL and does not answer
// gives {"error"}. Scrapes take part in the load: one a second by default.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/http_client_url.h"
#include "perf/join/host_cpu.h"
#include "perf/join/kserve_stats.h"
#include "perf/join/server_view.h"

namespace sis::perf {

struct JoinOptions {
  net::Url url;                        // of the load
  std::string metrics;                 // "": try /metrics of the same server; "off"; or a URL
  std::string model;                   // only its figures, where the server tells models apart
  Duration every{};                    // between scrapes; 0: before and after only
  Duration timeout = from_seconds(2);  // of one scrape
  bool verify_tls = false;
  std::vector<std::pair<std::string, std::string>> headers;  // of scrapes of the load's own server
};

// "", "off" or an http(s) URL.
Status check_join_target(std::string_view text);

class ServerJoin {
 public:
  explicit ServerJoin(JoinOptions options);  // the first scrape
  ~ServerJoin();
  ServerJoin(const ServerJoin&) = delete;

  // What was counted so far does not belong to the run: a scrape from which all counts anew. When
  // it fails, what came before stays in the figures, and end() says so. From any thread, before
  // end().
  void begin_again();
  // The last scrape. The `server` object of the run; {} when nothing is known.
  nlohmann::ordered_json end();
  // The generator's machine since the construction or begin_again().
  nlohmann::ordered_json host() const;

 private:
  Result<std::string> get(const net::Url& url, const std::string& target) const;
  Status begin();
  Status begin_kserve();
  Status scrape();
  void keep_scraping();

  JoinOptions options_;
  HostCpu host_;
  net::Url metrics_url_;
  std::string stats_target_;          // not empty: KServe statistics
  std::unique_ptr<ServerView> view_;  // metrics
  StatsPage first_, last_;            // KServe statistics
  bool stats_fell_ = false;
  int scrapes_ = 0, failures_ = 0;
  std::string error_, notice_;

  std::mutex scrape_mutex_;  // the figures, while the thread and begin_again() may both scrape
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sis::perf
