// Several models under one load: which of them each request is of. Pure.
//
// Either every arrival is of a model drawn with given shares: then the shares are of requests,
// however long each model takes, in a closed loop too. Or each model has so many requests of its
// own in flight.
//
// The draws are one stream from one seed, dealt out like the arrivals of a schedule
// (load/schedule.h): the model of arrival j, and how many of that model came before it, are the
// same however many workers or machines share the load. For that each part draws the whole stream,
// which costs it a few nanoseconds per arrival of others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "load/schedule.h"

namespace sextant::load {

class RequestSet;

// One of several models.
struct MixModel {
  std::string name, version;  // as asked for
  const RequestSet* requests = nullptr;
  double share = 0;        // of the requests; the shares of all models add up to 1
  size_t concurrency = 0;  // instead, of all models: so many of its own are in flight
};

class MixStream {
 public:
  // `shares` are positive; what they add up to is the whole.
  MixStream(std::span<const double> shares, Part part, const Random& random);

  struct Pick {
    size_t model = 0;
    uint64_t arrival = 0;  // its number in the whole stream
    uint64_t rank = 0;     // how many of that model came before it
  };
  // The part's next arrival.
  Pick Next();

 private:
  Pick Draw();

  Random random_;
  std::vector<double> below_;  // a draw below the model's bound, and not below one before: it
  std::vector<uint64_t> seen_;
  uint64_t arrival_ = 0;
  uint64_t skip_;  // arrivals of others until the next one
  uint64_t step_;
};

// Of `count` requests that a model keeps in flight, the part's: all models' requests are numbered
// through, `before` of them are of the models before, and dealt out in turn.
struct MixShare {
  size_t concurrency = 0;
  Part rows;  // which of the model's requests these slots send, counted on
};
MixShare ShareOfModel(size_t before, size_t count, Part part);

}  // namespace sextant::load
