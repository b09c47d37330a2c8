# Tells envctl that branches may have come or gone. It waits for nothing, leaves stdin alone and cannot fail.
# `envctl hooks uninstall` removes these lines, and no other.
# Marks that are no plain files are left alone: a fifo or a device would keep git waiting.
if [ "${1-}" = committed ] && [ -x @python ] && [ -f @folder/seen ] && [ ! -L @folder/seen ] &&
    [ -f @folder/waiting ] && [ ! -L @folder/waiting ] && true 2>/dev/null >@folder/seen; then
    envctl_waiting= envctl_began= envctl_now=
    { read -r envctl_waiting && read -r envctl_began; } 2>/dev/null <@folder/waiting || :
    case "$envctl_waiting" in
        *[!0-9]* | 0*) envctl_waiting= ;; # No process has such a number, and `kill` means many by some.
    esac
    # A number alone may be another's by now: where the system tells when a process began, that is compared as well.
    if [ -n "$envctl_waiting" ] && [ -n "$envctl_began" ]; then
        read -r envctl_now 2>/dev/null <"/proc/$envctl_waiting/stat" || :
        case "$envctl_now" in
            *") Z "* | *") X "*) envctl_waiting= ;;
            *" 0 $envctl_began "*) ;;
            *) envctl_waiting= ;;
        esac
    fi
    if ! kill -0 "${envctl_waiting:-nobody}" 2>/dev/null; then
        (
            nice -n 19 @python -E -P -m envctl.hooks @folder </dev/null >/dev/null 2>&1 &
            read -r envctl_now 2>/dev/null <"/proc/$!/stat" || :
            set -f -- ${envctl_now##*) }
            echo "$!
${20-}" >@folder/waiting
        ) 2>/dev/null || :
    fi
    unset envctl_waiting envctl_began envctl_now
fi
