#include "net/http_session.h"

#include <algorithm>
#include <limits>

#include "base/strings.h"
#include "net/http_session_parts.h"

namespace sis::net {
namespace {

constexpr size_t kInputPauseBytes = 64 << 10;    // pipelined bytes kept while none may be begun
constexpr size_t kOutputPauseBytes = 256 << 10;  // unread answers that stop new requests
constexpr size_t kBodyReserveMax = 64 << 10;  // a declared length is no reason to book more at once
constexpr size_t kBodyUnaskedMax = 16 << 10;  // smaller ones are read before anybody is asked
constexpr size_t kBodyPadding = 64;           // what simdjson reads past the end

// reserve() would double what is there, however little more is wanted.
void book(std::string& text, size_t bytes) {
  if (bytes <= text.capacity()) return;
  std::string larger;
  larger.reserve(bytes);
  larger.append(text);
  text.swap(larger);
}

void bump(std::atomic<int64_t>& counter) {  // one writer: no locked instruction needed
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

HttpSession::HttpSession(SessionContext& context, uint64_t connection, std::string peer,
                         TimePoint now)
    : context_(context),
      connection_(connection),
      peer_(std::move(peer)),
      out_(&context.buffers),
      now_(now),
      idle_since_(now) {}

HttpSession::~HttpSession() = default;

// ---------------------------------------------------------------- input

bool HttpSession::may_begin() const {
  return slots_count() < kPipelineMax && out_.bytes() < kOutputPauseBytes;
}

bool HttpSession::wants_input() const {
  if (ended_) return false;
  if (last_request_ || stage_ == Stage::kBody) return true;
  return in_.size() < kInputPauseBytes || may_begin();
}

void HttpSession::pump(TimePoint now) {
  now_ = now;
  paused_ = false;
  for (;;) {
    if (last_request_) {
      in_.clear();  // whatever follows the last request is not ours to understand
      return;
    }
    if (stage_ == Stage::kHead && !may_begin()) {
      paused_ = !in_.empty();
      return;
    }
    if (stage_ == Stage::kHead ? !read_head() : !read_body()) break;
  }
  if (!ended_ || last_request_ || !mid_request()) return;
  const bool in_body = stage_ == Stage::kBody;
  refuse({400, concat("request: the connection ended inside its ", in_body ? "body" : "headers")},
         in_body && reading_ ? reading_->request().path : std::string());
}

bool HttpSession::read_head() {
  if (!head_started_)  // empty lines before a request are skipped (RFC 9112 2.2)
    for (int i = 0; i < 2 && in_.view().starts_with("\r\n"); ++i) in_.consume(2);
  const auto data = in_.view();
  if (data.empty()) return false;
  if (data == "\r") {  // half of an empty line
    if (ended_) in_.clear();
    return false;
  }
  const HeadScan scan = scan_head(data, scanned_);
  const size_t bytes_max = context_.options.header_bytes_max;
  if (scan.head_bytes > bytes_max || (scan.head_bytes == 0 && data.size() > bytes_max)) {
    refuse({431, concat("headers: want at most ", bytes_max, " bytes")}, "");
    return false;
  }
  if (scan.hopeless) {
    refuse({400, concat("request: want 'METHOD /path HTTP/1.1' and lines that end in CR LF, found ",
                        in_quotes(data, 40))},
           "");
    return false;
  }
  if (scan.head_bytes == 0) {
    if (!head_started_) head_started_ = true, head_started_at_ = now_;
    return false;
  }
  head_started_ = false;
  scanned_ = 0;
  reading_ = std::make_shared<PendingExchange>(context_.sink, connection_);
  HttpRequest& request = reading_->request();
  head_ = RequestHead{};
  auto refusal = parse_request_head(data.substr(0, scan.head_bytes), request, head_);
  in_.consume(scan.head_bytes);
  if (request.request_id.empty())
    request.request_id = hex_id(context_.rng.next(), context_.rng.next());
  request.peer = peer_;
  request.received_at = now_;
  if (!refusal) refusal = judge(head_, request);
  if (refusal) {
    refuse(std::move(*refusal), request.path);
    return false;
  }
  if (!head_.chunked && head_.content_length <= 0) {
    request.body.reserve(kBodyPadding);
    dispatch();
    return true;
  }
  if (!wants_body()) {
    request.body.reserve(kBodyPadding);
    head_.keep_alive = false;
    dispatch();
    return true;
  }
  begin_body(head_);
  return true;
}

bool HttpSession::wants_body() const {
  const bool small = !head_.chunked && head_.body_coding == Coding::kIdentity &&
                     static_cast<uint64_t>(head_.content_length) <= kBodyUnaskedMax;
  const auto& wants = context_.options.wants_body;
  return small || !wants || wants(reading_->request());
}

std::optional<Refusal> HttpSession::judge(const RequestHead& head,
                                          const HttpRequest& request) const {
  if (request.method == "CONNECT") return Refusal{400, "method: CONNECT is for proxies"};
  if (head.expect_unknown)
    return Refusal{
        417, concat("Expect: want 100-continue, found ", in_quotes(request.header("expect")))};
  const bool body = head.chunked || head.content_length > 0;
  if (body && head.coding_unknown)
    return Refusal{415, concat("Content-Encoding: want one of gzip, deflate, zstd, br, found ",
                               in_quotes(request.header("content-encoding")))};
  if (head.content_length > 0 &&
      static_cast<uint64_t>(head.content_length) > context_.options.body_bytes_max)
    return Refusal{413, concat("body: want at most ", context_.options.body_bytes_max,
                               " bytes, Content-Length says ", request.header("content-length"))};
  return std::nullopt;
}

void HttpSession::begin_body(const RequestHead& head) {
  stage_ = Stage::kBody;
  body_ = std::make_unique<Body>();
  body_->started_at = body_->last_at = now_;
  if (!head.chunked) body_->left = static_cast<uint64_t>(head.content_length);
  if (head.body_coding != Coding::kIdentity)
    body_->decoder = Decompressor::create(head.body_coding, context_.options.body_bytes_max);
  else if (!head.chunked)
    reading_->request().body.reserve(std::min<size_t>(body_->left, kBodyReserveMax) + kBodyPadding);
  if (!head.expect_continue || !in_.empty()) return;
  if (slots_count() == 0) {
    out_.append(kContinue);
  } else {  // earlier requests are answered first
    Slot slot;
    slot.held = std::make_unique<Held>();
    slot.held->interim = true;
    slots_.push_back(std::move(slot));
  }
}

bool HttpSession::take_body(std::string_view bytes) {
  auto& body = reading_->request().body;
  const size_t bytes_max = context_.options.body_bytes_max;
  body_->received += bytes.size();
  body_->last_at = now_;
  if (body_->received > bytes_max) {
    refuse({413, concat("body: want at most ", bytes_max, " bytes")}, reading_->request().path);
    return false;
  }
  if (!body_->decoder) {
    // Grows by doubling, yet not beyond what was declared.
    const size_t size = body.size() + bytes.size();
    if (!head_.chunked && size > body.capacity())
      book(body, std::min(2 * size, static_cast<size_t>(head_.content_length)) + kBodyPadding);
    body.append(bytes);
    return charge_body();
  }
  if (auto status = body_->decoder->feed(bytes, body); !status) {
    refuse({status.error().code == Code::kTooLarge ? 413 : 400, status.error().message},
           reading_->request().path);
    return false;
  }
  return charge_body();
}

bool HttpSession::charge_body() {
  size_t bytes = reading_->request().body.capacity();
  if (body_->decoder) bytes += body_->decoder->state_bytes();
  if (reading_->charge_body(bytes)) return true;
  refuse({503, concat("body: the server holds as much of requests as it may (",
                      context_.options.bodies_bytes_max, " bytes), try again later")},
         reading_->request().path);
  return false;
}

bool HttpSession::read_body() {
  bool done = false;
  if (head_.chunked) {
    // A decoder's call costs more than a small chunk is worth.
    std::string& joined = context_.joined;
    joined.clear();
    while (!in_.empty() && !done) {
      const auto step = body_->chunks.next(in_.view());
      if (step.state == ChunkDecoder::State::kBad) {
        refuse({400, body_->chunks.error()}, reading_->request().path);
        return false;
      }
      if (body_->decoder)
        joined.append(step.payload);
      else if (!step.payload.empty() && !take_body(step.payload))
        return false;
      in_.consume(step.consumed);
      done = step.state == ChunkDecoder::State::kDone;
    }
    if (!joined.empty() && !take_body(joined)) return false;
  } else {
    const size_t bytes = static_cast<size_t>(std::min<uint64_t>(body_->left, in_.size()));
    if (bytes > 0 && !take_body(in_.view().substr(0, bytes))) return false;
    in_.consume(bytes);
    body_->left -= bytes;
    done = body_->left == 0;
  }
  if (!done) return false;
  if (body_->decoder && body_->received > 0)
    if (auto status = body_->decoder->finish(); !status) {
      refuse({400, status.error().message}, reading_->request().path);
      return false;
    }
  auto& text = reading_->request().body;
  book(text, text.size() + kBodyPadding);
  body_->decoder.reset();  // its memory is free again
  if (!charge_body()) return false;
  stage_ = Stage::kHead;
  body_.reset();
  dispatch();
  return true;
}

// ---------------------------------------------------------------- requests

std::string HttpSession::fixed_lines(const HttpRequest& request, const RequestHead& head) {
  std::string lines;
  lines.reserve(64);
  lines.append("X-Request-ID: ").append(request.request_id).append("\r\n");
  const auto& origins = context_.options.cors_origins;
  if (origins.empty()) return lines;
  const auto origin = request.header("origin");
  const bool any = std::find(origins.begin(), origins.end(), "*") != origins.end();
  if (!any) lines.append("Vary: Origin\r\n");
  if (origin.empty()) return lines;
  if (any)
    lines.append("Access-Control-Allow-Origin: *\r\n");
  else if (std::find(origins.begin(), origins.end(), origin) != origins.end())
    lines.append("Access-Control-Allow-Origin: ").append(origin).append("\r\n");
  else
    return lines;
  const auto& exposed = context_.options.cors_exposed;
  if (!head.preflight && !exposed.empty())
    lines.append("Access-Control-Expose-Headers: ").append(exposed).append("\r\n");
  return lines;
}

HttpSession::Slot& HttpSession::push_slot(const HttpRequest& request, const RequestHead& head) {
  Slot slot;
  slot.fixed_lines = fixed_lines(request, head);
  slot.head = request.head;
  slot.http10 = head.http10;
  slot.keep_alive = head.keep_alive;
  if (!head.keep_alive) last_request_ = true;
  slots_.push_back(std::move(slot));
  return slots_.back();
}

void HttpSession::dispatch() {
  bump(context_.requests);
  auto exchange = std::move(reading_);
  const uint64_t sequence = first_sequence_ + slots_count();
  Slot& slot = push_slot(exchange->request(), head_);
  const bool cors = !context_.options.cors_origins.empty();
  if ((head_.preflight && cors) || head_.asterisk) {
    exchange->bind(sequence, Coding::kIdentity);
    HttpResponse response{.status = 204, .content_type = "", .headers = {}, .body = {}};
    if (head_.asterisk)
      response.headers.emplace_back("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    if (head_.preflight && cors) {
      const auto wanted = exchange->request().header("access-control-request-headers");
      response.headers.emplace_back("Access-Control-Allow-Methods",
                                    "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
      if (!wanted.empty())
        response.headers.emplace_back("Access-Control-Allow-Headers", std::string(wanted));
      response.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    exchange->respond(std::move(response));
    return;
  }
  slot.exchange = exchange;
  exchange->bind(sequence, head_.accepted);
  try {
    (*context_.handler)(std::move(exchange));
  } catch (...) {
    // The exchange died on the way out, which answers 500. The I/O thread serves others and goes
    // on.
  }
}

void HttpSession::refuse(Refusal refusal, std::string_view path) {
  bump(context_.protocol_errors);
  HttpRequest unknown;
  const HttpRequest* request = &unknown;
  if (reading_)
    request = &reading_->request();
  else
    unknown.request_id = hex_id(context_.rng.next(), context_.rng.next());
  HttpResponse response = render_refusal(context_.options, refusal, path);
  if (refusal.status == 415)
    response.headers.emplace_back("Accept-Encoding", "gzip, deflate, zstd, br");
  if (refusal.status == 503) response.headers.emplace_back("Retry-After", "1");
  RequestHead head = reading_ ? head_ : RequestHead{};
  head.keep_alive = false;
  Slot& slot = push_slot(*request, head);
  const bool first = slots_count() == 1;
  if (!first) {
    slot.held = std::make_unique<Held>();
    slot.held->response = std::move(response);
  }
  // The exchange has no slot of its own: answering it keeps its end from speaking up.
  if (reading_) {
    reading_->bind(std::numeric_limits<uint64_t>::max(), Coding::kIdentity);
    reading_.reset();
  }
  body_.reset();
  stage_ = Stage::kHead;
  head_started_ = false;
  in_.clear();
  if (first) respond_now(std::move(response));
}

void HttpSession::turn_away(TimePoint now) {
  now_ = now;
  refuse({503, "connections: the limit is reached, try again later"}, "");
}

bool HttpSession::input_ended(TimePoint now) {
  ended_ = true;
  pump(now);
  if (slots_count() == 0 || closing_) return !out_.empty();
  if (!out_.empty()) return true;  // writing it will tell
  Slot& slot = front();
  if (slot.http10) return slot.streaming;  // a stream's next write will tell
  if (!slot.streaming)
    out_.append(kContinue);
  else if (slot.chunked)
    out_.tail().push_back('0');
  return true;
}

// ---------------------------------------------------------------- time and life

TimePoint HttpSession::deadline() const {
  const auto& options = context_.options;
  if (closing_ || last_request_) return TimePoint::max();
  if (stage_ == Stage::kBody) {
    Duration earned = options.body_timeout;
    if (options.body_bytes_per_second_min > 0)
      earned = std::min<Duration>(earned, from_seconds(static_cast<double>(body_->received) /
                                                       options.body_bytes_per_second_min));
    return std::min(body_->last_at + options.body_gap_timeout,
                    body_->started_at + std::max<Duration>(options.body_gap_timeout, earned));
  }
  if (head_started_) return head_started_at_ + options.header_timeout;
  if (slots_count() == 0) return idle_since_ + options.idle_timeout;
  return TimePoint::max();
}

bool HttpSession::expire(TimePoint now) {
  now_ = now;
  if (stage_ == Stage::kBody) {
    const auto& body = *body_;
    refuse(
        {408, concat("body: ", body.received, " bytes in ", to_seconds(now - body.started_at),
                     " s, want all within ", to_seconds(context_.options.body_timeout),
                     " s, no gap above ", to_seconds(context_.options.body_gap_timeout),
                     " s and at least ", context_.options.body_bytes_per_second_min, " bytes/s")},
        reading_->request().path);
    return true;
  }
  if (head_started_) {
    refuse({408, concat("headers: not complete after ", to_seconds(context_.options.header_timeout),
                        " s")},
           "");
    return true;
  }
  return false;
}

void HttpSession::cancel_all() {
  auto slots = std::move(slots_);
  const size_t first = first_slot_;
  slots_.clear();
  first_slot_ = 0;
  for (size_t i = first; i < slots.size(); ++i) {
    if (slots[i].gauge) slots[i].gauge->gone = true;
    if (const auto exchange = slots[i].exchange.lock()) exchange->cancel();
  }
}

}  // namespace sis::net
