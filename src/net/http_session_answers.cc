// The answering half of HttpSession: order, framing, streams, dropped requests.
#include "net/http_session_parts.h"

namespace sis::net {

HttpResponse render_refusal(const ServerOptions& options, const Refusal& refusal,
                            std::string_view path) {
  if (options.render_error)
    return options.render_error(refusal.status, refusal.message, std::string(path));
  return {.status = refusal.status,
          .content_type = "text/plain",
          .headers = {},
          .body = refusal.message + "\n"};
}

void HttpSession::handle(Answer& answer, TimePoint now) {
  now_ = now;
  const uint64_t index = answer.sequence - first_sequence_;
  if (index >= slots_count()) return;
  Slot& slot = slots_[first_slot_ + index];
  const bool first = index == 0;
  if (!first && !slot.held) slot.held = std::make_unique<Held>();
  switch (answer.kind) {
    case Answer::Kind::kRespond:
      if (!first) {
        slot.held->response = std::move(answer.response);
        return;
      }
      respond_now(std::move(*answer.response));
      break;
    case Answer::Kind::kStart:
      slot.gauge = std::move(answer.gauge);
      if (!first) {
        slot.held->response = std::move(answer.response);
        slot.held->stream = true;
        return;
      }
      start_now(std::move(*answer.response));
      break;
    case Answer::Kind::kWrite:
      if (slot.gauge) slot.gauge->travelling -= static_cast<int64_t>(answer.bytes.size());
      if (!first) {
        slot.held->bytes.append(answer.bytes);
        if (slot.gauge) slot.gauge->waiting = static_cast<int64_t>(slot.held->bytes.size());
        return;
      }
      if (slot.streaming) {
        write_now(answer.bytes);
        slot.gauge->waiting += static_cast<int64_t>(answer.bytes.size());
      }
      return;
    case Answer::Kind::kFinish:
      if (!first) {
        slot.held->finished = true;
        return;
      }
      if (slot.streaming) finish_now();
      break;
    case Answer::Kind::kDrop:
      drop(index);
      break;
    case Answer::Kind::kCall:
      return;
  }
  advance();
}

// The handler gave up: 500 when nothing was said yet, else the body can only be cut.
void HttpSession::drop(size_t index) {
  Slot& slot = slots_[first_slot_ + index];
  if (slot.streaming) {
    broken_ = true;
    return;
  }
  if (index > 0 && slot.held->stream) {
    slot.held->dropped = true;
    return;
  }
  const std::string message = "the request was dropped without an answer";
  HttpResponse response = render_refusal(context_.options, {500, message}, "");
  if (index == 0)
    respond_now(std::move(response));
  else
    slot.held->response = std::move(response);
}

bool HttpSession::close_after_front() {
  const bool last = slots_count() == 1 && !(stage_ == Stage::kBody || head_started_);
  if (last && (ended_ || context_.draining) && (in_.empty() || context_.draining))
    last_request_ = true;
  return !front().keep_alive || (last && last_request_);
}

void HttpSession::respond_now(HttpResponse&& response) {
  Slot& slot = front();
  if (slot.streaming) return;
  if (response.status < 200 || response.status > 599) response.status = 500;
  const bool close = close_after_front();
  const bool body = status_has_body(response.status);
  HeadPlan plan{.date_lines = context_.date.get(now_), .fixed_lines = slot.fixed_lines};
  plan.framing = body ? Framing::kLength : Framing::kNone;
  plan.body_bytes = response.body.size();
  plan.persistence = close         ? Persistence::kClose
                     : slot.http10 ? Persistence::kKeepAlive
                                   : Persistence::kDefault;
  append_head(out_.tail(), response, plan);
  if (body && !slot.head) out_.append(std::move(response.body));
  if (close) closing_ = last_request_ = true;
  pop_front();
}

void HttpSession::start_now(HttpResponse&& response) {
  Slot& slot = front();
  if (slot.streaming) return;
  if (response.status < 200 || response.status > 599) response.status = 500;
  const bool body = status_has_body(response.status) && !slot.head;
  if (slot.http10) slot.keep_alive = false;  // the end of the body is the end of the connection
  const bool close = close_after_front();
  HeadPlan plan{.date_lines = context_.date.get(now_), .fixed_lines = slot.fixed_lines};
  plan.framing = !status_has_body(response.status) ? Framing::kNone
                 : slot.http10                     ? Framing::kUntilClose
                                                   : Framing::kChunked;
  plan.persistence = close ? Persistence::kClose : Persistence::kDefault;
  append_head(out_.tail(), response, plan);
  if (close) last_request_ = true, slot.keep_alive = false;
  slot.streaming = true;
  slot.chunked = body && !slot.http10;
  if (!body) {  // nothing more may follow: the producer need not go on
    if (slot.gauge) slot.gauge->gone = true;
    slot.chunked = false;
    finish_now();
    return;
  }
  if (!response.body.empty()) write_now(response.body);
}

void HttpSession::write_now(std::string_view bytes) {
  if (front().chunked)
    append_chunk(out_.tail(), bytes);
  else
    out_.append(bytes);
}

void HttpSession::finish_now() {
  if (front().chunked) out_.append(std::string_view("0\r\n\r\n"));
  if (close_after_front()) closing_ = last_request_ = true;
  pop_front();
}

void HttpSession::pop_front() {
  ++first_slot_;
  ++first_sequence_;
  if (first_slot_ == slots_.size()) {
    slots_.clear();
    first_slot_ = 0;
    idle_since_ = now_;
  } else if (first_slot_ >= kPipelineMax) {
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(first_slot_));
    first_slot_ = 0;
  }
}

// Says what the requests now at the front have ready.
void HttpSession::advance() {
  while (slots_count() > 0 && !closing_ && !broken_ && front().held) {
    const std::unique_ptr<Held> held = std::move(front().held);
    if (held->interim) {
      out_.append(kContinue);
      pop_front();
    } else if (!held->response) {
      return;
    } else if (!held->stream) {
      respond_now(std::move(*held->response));
    } else {
      const auto gauge = front().gauge;
      const uint64_t sequence = first_sequence_;
      start_now(std::move(*held->response));
      if (first_sequence_ != sequence) continue;  // it had no body
      if (!held->bytes.empty()) write_now(held->bytes);
      if (held->dropped)  // whatever came after: bytes are missing
        broken_ = true;
      else if (held->finished)
        finish_now();
      else
        return;
    }
  }
}

void HttpSession::output_waits(size_t bytes) {
  if (slots_count() == 0) return;
  if (const auto& gauge = front().gauge; gauge && front().streaming)
    gauge->waiting = static_cast<int64_t>(bytes);
}

}  // namespace sis::net
