// One client's socket: reads into its session, writes what the session has, watches for the client
// leaving.
//
// A read is always under way, so that a disconnect is seen while a handler works; when the session
// wants no input (too much is unanswered) or input has ended, the socket is watched for a reset
// instead. Loop thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

#include "net/http_session.h"
#include "net/tls.h"

namespace sis::net {

class IoLoop;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(IoLoop& loop, boost::asio::ip::tcp::socket socket, uint64_t id, std::string peer,
             std::unique_ptr<TlsSession> tls, bool turned_away, TimePoint now);
  ~Connection();

  static boost::asio::awaitable<void> run(std::shared_ptr<Connection> self);

  void handle(Answer& answer, TimePoint now) { session_.handle(answer, now); }
  // Parses, writes and arranges what comes next. Does nothing when called from inside itself.
  void settle(TimePoint now);
  TimePoint deadline() const;
  void expire(TimePoint now);
  bool idle() const { return !session_.busy() && !output_waits() && !lingering_; }
  bool turned_away() const { return turned_away_; }
  void turn_away(TimePoint now);
  // Closes at once and cancels what is unanswered; `reset` so that the client notices.
  void close(bool reset = false);

 private:
  friend class IoLoop;

  bool wants_input() const { return lingering_ || session_.wants_input(); }
  bool output_waits() const { return !session_.out().empty() || !wire_.empty(); }
  bool hung_up() const;
  void take_input(std::string_view ciphertext);
  void input_ended(TimePoint now);
  void flush(TimePoint now);
  void encrypt_some();
  void linger(TimePoint now);

  IoLoop& loop_;
  boost::asio::ip::tcp::socket socket_;
  const uint64_t id_;
  HttpSession session_;
  std::unique_ptr<TlsSession> tls_;
  OutQueue wire_;  // TLS only: ciphertext
  boost::asio::cancellation_signal wake_;
  TimePoint accepted_at_, write_progress_at_{}, linger_until_{};
  bool open_ = true, settling_ = false, watching_ = false, write_waits_ = false;
  bool lingering_ = false, active_ = false, touched_ = false, ended_ = false;
  const bool turned_away_;
};

}  // namespace sis::net
