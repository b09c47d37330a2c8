# Tells envctl that branches may have come or gone. It waits for nothing, leaves stdin alone and cannot fail.
# `envctl hooks uninstall` removes these lines, and no other.
if [ "${1-}" = committed ] && [ -x @python ] && true 2>/dev/null >@folder/seen; then
    envctl_waiting=
    read -r envctl_waiting 2>/dev/null <@folder/waiting || :
    if ! kill -0 "${envctl_waiting:-nobody}" 2>/dev/null; then
        (
            nice -n 19 @python -E -P -m envctl.hooks @folder </dev/null >/dev/null 2>&1 &
            echo "$!" >@folder/waiting
        ) 2>/dev/null || :
    fi
    unset envctl_waiting
fi
