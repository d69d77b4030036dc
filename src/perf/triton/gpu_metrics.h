// GPU figures from a Triton server's metrics page, scraped while a level is measured.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client_url.h"
#include "perf/join/prometheus.h"

namespace sis::perf {

struct GpuFigures {
  double utilization_sum = 0, power_sum = 0;  // over the scrapes
  double memory_used_max = 0, memory_total = 0;
  int utilization_count = 0, power_count = 0;
};

struct GpuMetrics {
  std::map<std::string, GpuFigures> gpus;  // by uuid

  void add(const MetricPage& page);
  void add(const GpuMetrics& other);
};

class GpuWatch {
 public:
  // Scrapes once before it returns. Errors: no answer, another status than 200, no metrics.
  static Result<std::unique_ptr<GpuWatch>> start(const net::Url& url, Duration every,
                                                 bool verify_tls);
  ~GpuWatch();
  GpuWatch(const GpuWatch&) = delete;

  // What came in since the last call; an error when a scrape failed.
  Result<GpuMetrics> take();

 private:
  GpuWatch(net::Url url, Duration every, bool verify_tls)
      : url_(std::move(url)), every_(every), verify_tls_(verify_tls) {}
  Result<MetricPage> scrape() const;
  void run();

  net::Url url_;
  Duration every_;
  bool verify_tls_;
  std::mutex mutex_;
  std::condition_variable changed_;
  GpuMetrics metrics_;
  Status status_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sis::perf
