#include "perf/join/server_join.h"

#include <nlohmann/json.hpp>

#include "base/strings.h"
#include "base/thread_team.h"
#include "net/http_client.h"
#include "perf/load/kserve_model.h"
#include "perf/report/shown_url.h"

namespace sis::perf {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Status check_join_target(std::string_view text) {
  if (text.empty() || text == "off") return {};
  if (auto url = net::parse_url(text); !url.ok()) return url.error();
  return {};
}

ServerJoin::ServerJoin(JoinOptions options) : options_(std::move(options)) {
  if (options_.metrics == "off") return;
  if (Status status = begin(); !status.ok()) {
    // Nobody asked for metrics: a server without them is no news.
    if (!options_.metrics.empty()) error_ = status.error().message;
    return;
  }
  if (options_.every > Duration{})
    thread_ = std::thread([this] {
      name_this_thread("sis-join");
      keep_scraping();
    });
}

Json ServerJoin::host() const { return host_.json(); }

ServerJoin::~ServerJoin() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<std::string> ServerJoin::get(const net::Url& url, const std::string& target) const {
  net::FetchRequest request{.target = target,
                            .timeout = options_.timeout,
                            .verify_tls = options_.verify_tls,
                            .body_bytes_max = MetricPage::kPageBytesMax};
  // Keys of the measured server are for that server alone.
  if (url.host == options_.url.host && url.port == options_.url.port)
    request.headers = options_.headers;
  SIS_ASSIGN(net::FetchResponse response, net::fetch(url, request));
  if (response.status != 200)
    return Error{Code::kUnavailable, concat("GET ", target.empty() ? url.target : target,
                                            ": status ", response.status)};
  return std::move(response.body);
}

Status ServerJoin::begin() {
  metrics_url_ = options_.url;
  metrics_url_.target = "/metrics";
  if (!options_.metrics.empty()) {
    SIS_ASSIGN(metrics_url_, net::parse_url(options_.metrics));
    if (metrics_url_.target.empty() || metrics_url_.target == "/") metrics_url_.target = "/metrics";
  }
  auto body = get(metrics_url_, "");
  Status why;
  if (body.ok()) {
    auto page = MetricPage::parse(*body);
    if (page.ok()) {
      if (const ServerKind* kind = recognise(*page)) {
        view_ = std::make_unique<ServerView>(*kind, options_.model);
        SIS_TRY(view_->add(*page));
        ++scrapes_;
        return {};
      }
      why = Error{Code::kNotFound,
                  concat(shown_url(metrics_url_.text()), ": none of its ", page->samples(),
                         " samples has a name known from vLLM, TGI, llama-server, Triton or sis")};
    } else {
      why = page.error();
    }
  } else {
    why = body.error();
  }
  if (options_.metrics.empty() && !options_.model.empty() && begin_kserve().ok()) return {};
  return why;
}

Status ServerJoin::begin_kserve() {
  stats_target_ = net::join_target(options_.url, kserve_model_path(options_.model, "") + "/stats");
  if (Status status = scrape(); !status.ok()) {
    stats_target_.clear();
    return status;
  }
  first_ = last_;
  return {};
}

Status ServerJoin::scrape() {
  if (stats_target_.empty()) {
    SIS_ASSIGN(const std::string body, get(metrics_url_, ""));
    SIS_ASSIGN(const MetricPage page, MetricPage::parse(body));
    SIS_TRY(view_->add(page));
  } else {
    SIS_ASSIGN(const std::string body, get(options_.url, stats_target_));
    SIS_ASSIGN(last_, parse_kserve_stats(body));
  }
  ++scrapes_;
  return {};
}

void ServerJoin::begin_again() {
  const std::lock_guard lock(scrape_mutex_);
  host_ = HostCpu();
  if (scrapes_ == 0) return;
  auto before = std::move(view_);
  if (before != nullptr) view_ = std::make_unique<ServerView>(before->kind(), options_.model);
  if (const Status status = scrape(); !status.ok()) {
    ++failures_;
    notice_ = concat("the scrape after the warm-up failed, so the figures include the warm-up: ",
                     status.error().message);
    view_ = std::move(before);
    return;
  }
  scrapes_ = 1;
  failures_ = 0;
  stats_fell_ = false;
  first_ = last_;
}

void ServerJoin::keep_scraping() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, options_.every, [this] { return stop_; })) {
    lock.unlock();
    {
      const std::lock_guard scraping(scrape_mutex_);
      if (!scrape().ok()) ++failures_;
    }
    lock.lock();
  }
}

Json ServerJoin::end() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Json out = Json::object();
  if (!error_.empty()) {
    out["error"] = error_;
    return out;
  }
  if (scrapes_ == 0) return out;
  if (!notice_.empty()) out["error"] = notice_;
  if (Status status = scrape(); !status.ok()) {
    ++failures_;
    out["error"] = concat("the last scrape failed: ", status.error().message);
    if (view_ != nullptr && view_->overflowed()) return out;  // its sums lack what came since
  }
  if (view_ != nullptr) {
    out.update(view_->json());
    out["url"] = shown_url(metrics_url_.text());
  } else {
    out["kind"] = "kserve";
    out["model"] = options_.model;
    out["scrapes"] = scrapes_;
    ModelStats sum;
    for (const auto& [key, now] : last_) {
      const auto before = first_.find(key);
      sum.add(now.since(before == first_.end() ? ModelStats{} : before->second, stats_fell_));
    }
    out["resets"] = stats_fell_ ? 1 : 0;
    out.update(sum.json());
  }
  out["failed_scrapes"] = failures_;
  return out;
}

}  // namespace sis::perf
