#include "load/channel.h"

#include <algorithm>

namespace sextant::load {

std::unique_ptr<Channel> MakeChannel(net::EventLoop& loop, ChannelListener& listener,
                                     const ChannelOptions& options) {
  if (options.protocol == kserve::Protocol::kHttp) return MakeHttpChannel(loop, listener, options);
  return options.streaming ? MakeStreamChannel(loop, listener, options)
                           : MakeGrpcChannel(loop, listener, options);
}

Nanos ConnectBackoff(int failures) {
  const int doublings = std::clamp(failures - 1, 0, 7);
  return std::min<Nanos>(10ms * (1 << doublings), 1s);
}

}  // namespace sextant::load
