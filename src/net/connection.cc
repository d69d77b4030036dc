#include "net/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "net/io_loop.h"

namespace sis::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// After the last answer: how long the client may go on sending before it is cut off. Closing with
// unread input would send RST, which can destroy the answer on its way (RFC 9112 9.6).
constexpr auto kLingerTime = std::chrono::seconds(3);
constexpr size_t kEntriesMax = 16;
constexpr size_t kEncryptStepBytes = 64 << 10;

}  // namespace

Connection::Connection(IoLoop& loop, tcp::socket socket, uint64_t id, std::string peer,
                       std::unique_ptr<TlsSession> tls, bool turned_away, TimePoint now)
    : loop_(loop),
      socket_(std::move(socket)),
      id_(id),
      session_(loop.context_, id, std::move(peer), now),
      tls_(std::move(tls)),
      wire_(&loop.context_.buffers),
      accepted_at_(now),
      turned_away_(turned_away) {}

Connection::~Connection() = default;

asio::awaitable<void> Connection::run(std::shared_ptr<Connection> self) {
  Connection& c = *self;
  while (c.open_) {
    if (!c.ended_ && c.wants_input()) {
      const auto space = c.tls_ ? std::span<char>() : c.session_.input_space();
      // Ciphertext has no place of its own: wait first, then read into the thread's scratch.
      if (c.tls_) {
        const auto [error] = co_await c.socket_.async_wait(tcp::socket::wait_read, kAwait);
        if (!c.open_ || error) break;
        const auto bytes = ::recv(c.socket_.native_handle(), c.loop_.scratch_.data(),
                                  c.loop_.scratch_.size(), MSG_DONTWAIT);
        const auto now = std::chrono::steady_clock::now();
        if (bytes > 0)
          c.take_input({c.loop_.scratch_.data(), static_cast<size_t>(bytes)});
        else if (bytes == 0)
          c.input_ended(now);
        else if (errno != EAGAIN && errno != EINTR)
          break;
        c.settle(now);
        continue;
      }
      const auto [error, bytes] =
          co_await c.socket_.async_read_some(asio::buffer(space.data(), space.size()), kAwait);
      if (!c.open_) break;
      const auto now = std::chrono::steady_clock::now();
      if (!error)
        c.session_.input_filled(bytes);
      else if (error == asio::error::eof)
        c.input_ended(now);
      else
        break;
      c.settle(now);
    } else {
      c.watching_ = true;
      const auto [error] = co_await c.socket_.async_wait(
          tcp::socket::wait_error, asio::bind_cancellation_slot(c.wake_.slot(), kAwait));
      c.watching_ = false;
      if (!c.open_ || (!error && c.hung_up())) break;
      c.settle(std::chrono::steady_clock::now());
    }
  }
  c.close();
}

// Tells a reset from other news of the socket. Urgent data has no meaning in HTTP: who sends it is
// cut off.
bool Connection::hung_up() const {
  pollfd entry{
      .fd = const_cast<tcp::socket&>(socket_).native_handle(), .events = POLLPRI, .revents = 0};
  return ::poll(&entry, 1, 0) > 0 &&
         (entry.revents & (POLLERR | POLLHUP | POLLNVAL | POLLPRI)) != 0;
}

void Connection::take_input(std::string_view ciphertext) {
  tls_->put_ciphertext(ciphertext);
  for (;;) {
    size_t bytes = 0;
    switch (tls_->read(session_.input_space(), bytes)) {
      case TlsSession::Read::kSome:
        session_.input_filled(bytes);
        continue;
      case TlsSession::Read::kNothing:
        return;
      case TlsSession::Read::kEnded:
        input_ended(std::chrono::steady_clock::now());
        return;
      case TlsSession::Read::kFailed:
        encrypt_some();  // the alert, if it can go out at once
        flush(std::chrono::steady_clock::now());
        close();
        return;
    }
  }
}

void Connection::input_ended(TimePoint now) {
  if (ended_) return;
  ended_ = true;
  settling_ = true;  // input_ended() pumps; answers given meanwhile are written by settle()
  const bool someone = session_.input_ended(now);
  settling_ = false;
  if (lingering_ || !someone) close();
}

void Connection::encrypt_some() {
  OutQueue& plain = session_.out();
  std::array<iovec, kEntriesMax> entries;
  while (tls_->handshaken() && !plain.empty() && wire_.bytes() < kEncryptStepBytes) {
    plain.gather(entries.data(), 1);
    const size_t bytes = std::min(entries[0].iov_len, kEncryptStepBytes);
    if (!tls_->write({static_cast<const char*>(entries[0].iov_base), bytes})) return;
    plain.consume(bytes);
    tls_->take_ciphertext(wire_.tail());
  }
  std::string rest;
  tls_->take_ciphertext(rest);
  if (!rest.empty()) wire_.append(std::string_view(rest));
}

void Connection::flush(TimePoint now) {
  OutQueue& out = tls_ ? wire_ : session_.out();
  while (open_ && !write_waits_) {
    if (tls_) encrypt_some();
    if (out.empty()) return;
    std::array<iovec, kEntriesMax> entries;
    msghdr message{};
    message.msg_iov = entries.data();
    message.msg_iovlen = out.gather(entries.data(), entries.size());
    const ssize_t sent =
        message.msg_iovlen == 1
            ? ::send(socket_.native_handle(), entries[0].iov_base, entries[0].iov_len,
                     MSG_NOSIGNAL | MSG_DONTWAIT)
            : ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      out.consume(static_cast<size_t>(sent));
      write_progress_at_ = now;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      write_waits_ = true;
      write_progress_at_ = now;
      socket_.async_wait(tcp::socket::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->write_waits_ = false;
                           if (!error) self->settle(std::chrono::steady_clock::now());
                         });
    } else if (errno != EINTR) {
      close();
    }
  }
}

void Connection::settle(TimePoint now) {
  if (settling_ || !open_) return;
  settling_ = true;
  do {
    session_.pump(now);
    if (session_.broken()) {
      flush(now);
      close(true);
    } else {
      flush(now);
    }
  } while (open_ && session_.may_resume());
  settling_ = false;
  if (!open_) return;
  session_.output_waits(session_.out().bytes() + wire_.bytes());
  const bool waits = output_waits();
  if (session_.closing() && !waits && !lingering_) {
    linger(now);
    if (!open_) return;
  }
  const bool active = !lingering_ && (waits || session_.busy());
  if (active != active_) {
    active_ = active;
    loop_.active_.fetch_add(active ? 1 : -1, std::memory_order_release);
  }
  if (!active && loop_.context_.draining && !lingering_) return close();
  auto& check_at = loop_.entries_[static_cast<uint32_t>(id_)].check_at;
  if (const auto at = deadline(); at < check_at) check_at = at;
  if (watching_ && !ended_ && wants_input()) wake_.emit(asio::cancellation_type::terminal);
}

// The last answer is written. Closes the sending side and reads on for a while, so that the answer
// arrives.
void Connection::linger(TimePoint now) {
  if (ended_) return close();
  if (tls_) {
    tls_->close();
    flush(now);
    if (!open_) return;
  }
  lingering_ = true;
  linger_until_ = now + kLingerTime;
  boost::system::error_code ignored;
  if (!output_waits()) socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

TimePoint Connection::deadline() const {
  if (lingering_) return linger_until_;
  TimePoint at = session_.deadline();
  if (tls_ && !tls_->handshaken()) at = std::min(at, accepted_at_ + loop_.options_.header_timeout);
  if (output_waits()) at = std::min(at, write_progress_at_ + loop_.options_.write_timeout);
  return at;
}

void Connection::expire(TimePoint now) {
  const bool stuck = output_waits() && now >= write_progress_at_ + loop_.options_.write_timeout;
  const bool no_handshake = tls_ && !tls_->handshaken();
  if (lingering_ || no_handshake) return close();
  if (stuck) return close(true);
  settling_ = true;
  const bool goes_on = session_.expire(now);
  settling_ = false;
  if (!goes_on) return close();
  settle(now);
}

void Connection::turn_away(TimePoint now) {
  session_.turn_away(now);
  settle(now);
}

void Connection::close(bool reset) {
  if (!open_) return;
  open_ = false;
  const auto self = shared_from_this();  // the loop's reference goes now
  if (active_) {
    active_ = false;
    loop_.active_.fetch_sub(1, std::memory_order_release);
  }
  boost::system::error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  loop_.forget(id_);
  session_.cancel_all();
}

}  // namespace sis::net
