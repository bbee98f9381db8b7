// Which comparison has which functor for which dtypes: one list for all devices. A device has a type of tables (from
// dtype to what runs one), which is filled by compare<F>(dtypes), test<F>(dtypes) and share_signed().
#pragma once

#include "functors/comparison.h"
#include "functors/types.h"

namespace atled::core {

template <class Table>
struct Comparisons {
  // Calls add(op's name, its table, which lives on).
  template <class Add>
  static void each(Add&& add) {
    static const Table eq = equality<Eq>(), ne = equality<Ne>(), lt = order<Lt>(), le = order<Le>(), gt = order<Gt>(),
                       ge = order<Ge>(), isnan = tests<IsNan, false>(), isinf = tests<IsInf, false>(),
                       isfinite = tests<IsFinite, true>(), isposinf = signed_infinity<IsSignedInf<false>>(),
                       isneginf = signed_infinity<IsSignedInf<true>>(), isreal = reality(), signbit = signs();
    add("core::eq", eq);
    add("core::ne", ne);
    add("core::lt", lt);
    add("core::le", le);
    add("core::gt", gt);
    add("core::ge", ge);
    add("core::isnan", isnan);
    add("core::isinf", isinf);
    add("core::isfinite", isfinite);
    add("core::isposinf", isposinf);
    add("core::isneginf", isneginf);
    add("core::isreal", isreal);
    add("core::signbit", signbit);
  }

 private:
  template <class F>
  static Table equality() {
    return Table()
        .template compare<F>(Unsigned{})
        .template compare<F>(Types<bool>{})
        .template compare<F>(Floats{})
        .template compare<F>(Complexes{})
        .share_signed();
  }
  template <class F>
  static Table order() {
    return Table().template compare<F>(Integers{}).template compare<F>(Types<bool>{}).template compare<F>(Floats{});
  }
  template <class F, bool kInteger>
  static Table tests() {
    return Table()
        .template test<Always<kInteger>>(Unsigned{})
        .template test<Always<kInteger>>(Types<bool>{})
        .template test<F>(Floats{})
        .template test<F>(Complexes{})
        .share_signed();
  }
  template <class F>
  static Table signed_infinity() {
    return Table()
        .template test<Always<false>>(Unsigned{})
        .template test<Always<false>>(Types<bool>{})
        .template test<F>(Floats{})
        .share_signed();
  }
  static Table reality() {
    return Table()
        .template test<Always<true>>(Unsigned{})
        .template test<Always<true>>(Types<bool>{})
        .template test<Always<true>>(Floats{})
        .template test<IsReal>(Complexes{})
        .share_signed();
  }
  static Table signs() {
    return Table()
        .template test<Always<false>>(Types<bool>{})
        .template test<SignBit>(Integers{})
        .template test<SignBit>(Floats{});
  }
};

}  // namespace atled::core
