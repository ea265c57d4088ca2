#include "load/channel.h"

#include <algorithm>

namespace sextant::load {

std::unique_ptr<Channel> MakeChannel(net::EventLoop& loop, ChannelListener& listener,
                                     const ChannelOptions& options) {
  return options.protocol == kserve::Protocol::kHttp ? MakeHttpChannel(loop, listener, options)
                                                     : MakeGrpcChannel(loop, listener, options);
}

Nanos ConnectBackoff(int failures) {
  const int doublings = std::clamp(failures - 1, 0, 7);
  return std::min<Nanos>(10ms * (1 << doublings), 1s);
}

}  // namespace sextant::load
