// /usr/share/polkit-1/rules.d/60-vaktpost.rules
// A radio that stays stuck may cost a restart of the Bluetooth service (`restart_service` of the ble driver): that one
// service, that one verb, that one user.
polkit.addRule(function (action, subject) {
    if (
        action.id == "org.freedesktop.systemd1.manage-units" &&
        action.lookup("unit") == "bluetooth.service" &&
        action.lookup("verb") == "restart" &&
        subject.user == "vaktpost-hub"
    ) {
        return polkit.Result.YES;
    }
});
