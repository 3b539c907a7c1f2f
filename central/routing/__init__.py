"""Who is to answer an alarm, when: plans, hours of the week, duty rotas. Pure; rows are in `central.routing.store`."""
