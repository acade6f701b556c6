# Mails to the owners of a webhook

mail-subject-failing = Your webhook is failing: { $url }
mail-subject-recovered = Your webhook works again: { $url }
mail-subject-disabled = Your webhook was disabled: { $url }
mail-about-failing = Deliveries to the webhook { $url } of { $company } do not arrive. They wait and are retried; nothing is lost yet.
mail-about-recovered = Deliveries to the webhook { $url } of { $company } arrive again. Waiting deliveries are being sent now.
mail-about-disabled = The webhook { $url } of { $company } was disabled. Its deliveries wait until somebody resumes it.
mail-facts = Details:
mail-name = Name: { $name }
mail-reason = Reason: { $reason }
mail-since = Failing since: { $time }
mail-failures = Failed attempts: { $count }
mail-waiting = Waiting deliveries: { $count }
mail-last = Last response, at { $time }:
mail-answer-status = status code { $status }
mail-answer-error = { $error }: { $detail }
mail-answer-none = none
mail-advice = What to do: { $advice }
mail-resume = When the receiver works again, press Test on the webhook’s page and then resume it: all waiting deliveries are sent in order.
mail-log = Its log
mail-footer = Hookswitch sends this to the addresses in “Notify” of the webhook { $id } when something changes.
mail-footer-daily = Hookswitch sends this to the addresses in “Notify” of the webhook { $id } when something changes, and once a day while it keeps failing.
