#include "load/schedule.h"

namespace sextant::load {

std::string_view ArrivalsName(Arrivals arrivals) {
  return arrivals == Arrivals::kConstant ? "constant" : "poisson";
}

std::unique_ptr<Schedule> MakeSchedule(Arrivals arrivals, double rate, uint64_t worker,
                                       uint64_t workers, const Random& random) {
  if (arrivals == Arrivals::kConstant)
    return std::make_unique<ConstantSchedule>(rate, worker, workers);
  return std::make_unique<PoissonSchedule>(rate / static_cast<double>(workers),
                                           random.Fork(worker));
}

}  // namespace sextant::load
