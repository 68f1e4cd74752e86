"""What the API's refusals mean to a reader, by their code; and what is wrong with a field, by its type."""

# ruff: noqa: RUF001 - Russian letters are meant here

WORDS: dict[str, tuple[str, str]] = {
    "problem_error": (
        "Something went wrong on our side. Please try again.",
        "Что-то пошло не так. Попробуйте ещё раз.",
    ),
    "problem_unreachable": (
        "The service does not answer right now. Please try again in a minute.",
        "Сервис сейчас не отвечает. Попробуйте через минуту.",
    ),
    "problem_unavailable": (
        "The service does not answer right now. Please try again in a minute.",
        "Сервис сейчас не отвечает. Попробуйте через минуту.",
    ),
    "problem_invalid_credentials": (
        "Wrong user name or password.",
        "Неверное имя пользователя или пароль.",
    ),
    "problem_too_many_attempts": (
        "Too many attempts. Try again in {seconds} s.",
        "Слишком много попыток. Повторите через {seconds} с.",
    ),
    "problem_rate_limited": (
        "Too many requests from here. Try again in {seconds} s.",
        "Слишком много запросов. Повторите через {seconds} с.",
    ),
    "problem_registration_closed": (
        "New accounts are made by the administrator here. You can still send a request without an account.",
        "Регистрация закрыта: учётные записи создаёт администратор. Заявку можно отправить и без неё.",
    ),
    "problem_forbidden": ("You may not do this.", "У вас нет прав на это действие."),
    "problem_not_found": (
        "This does not exist any more, or it is not yours to see.",
        "Этого больше нет, или у вас нет доступа.",
    ),
    "problem_stale": (
        "Somebody changed this meanwhile; nothing was saved. Close this window and look at the new values.",
        "Пока вы правили, это изменил кто-то другой; ничего не сохранено. Закройте окно и проверьте.",
    ),
    "problem_invalid_transition": (
        "Somebody was faster, or the status changed: this step is not possible any more.",
        "Кто-то успел раньше или статус изменился: этот шаг уже невозможен.",
    ),
    "problem_not_a_worker": (
        "This person does not take work: choose an active worker.",
        "Этому человеку нельзя назначить работу: выберите активного мастера.",
    ),
    "problem_duplicate_ticket": (
        "The same request is already open. Follow it by the code you got.",
        "Такая заявка уже открыта. Следите за ней по полученному коду.",
    ),
    "problem_client_exists": (
        "A client with this phone or e-mail is already there.",
        "Клиент с таким телефоном или почтой уже есть.",
    ),
    "problem_has_tickets": (
        "This client has tickets and cannot be deleted.",
        "У клиента есть заявки, удалить его нельзя.",
    ),
    "problem_has_open_tickets": (
        "Open tickets hang on this worker ({count}). Choose who takes them.",
        "У мастера есть открытые заявки ({count}). Выберите, кому их передать.",
    ),
    "problem_last_admin": (
        "This is the last administrator; somebody has to stay.",
        "Это последний администратор, кто-то должен остаться.",
    ),
    "problem_own_account": ("You cannot deactivate yourself.", "Нельзя отключить самого себя."),
    "problem_username_taken": ("This user name is taken.", "Это имя пользователя занято."),
    "problem_email_taken": (
        "This e-mail belongs to another account.",
        "Эта почта принадлежит другой учётной записи.",
    ),
    "problem_internal_error": (
        "Something went wrong on our side. Please try again.",
        "Что-то пошло не так. Попробуйте ещё раз.",
    ),
    "problem_client_required": ("Say who the client is.", "Укажите клиента."),
    "problem_worker_required": ("Assign a worker first.", "Сначала назначьте мастера."),
    "problem_too_large": ("This is too large.", "Слишком большой объём."),
    "problem_wrong_password": ("The current password is wrong.", "Текущий пароль неверен."),
    "problem_validation_error": ("Please check the fields.", "Проверьте поля."),
    # fields
    "field_username_taken": ("This user name is taken.", "Это имя пользователя занято."),
    "field_email_taken": (
        "This e-mail belongs to another account.",
        "Эта почта принадлежит другой учётной записи.",
    ),
    "field_wrong_password": ("The current password is wrong.", "Текущий пароль неверен."),
    "field_not_a_worker": ("Choose an active worker.", "Выберите активного мастера."),
    "field_missing": ("Please fill this in.", "Заполните это поле."),
    "field_string_type": ("Please fill this in.", "Заполните это поле."),
    "field_string_too_short": ("This is too short.", "Слишком коротко."),
    "field_too_short": ("This is too short.", "Слишком коротко."),
    "field_string_too_long": ("This is too long.", "Слишком длинно."),
    "field_too_long": ("This is too long.", "Слишком длинно."),
    "field_email": ("This is not an e-mail address.", "Это не похоже на адрес почты."),
    "field_phone": ("This is not a phone number.", "Это не похоже на номер телефона."),
    "field_username": (
        "Letters, digits, dots, dashes; at least three.",
        "Буквы, цифры, точки и дефисы, не меньше трёх знаков.",
    ),
    "field_client": ("Fill in the name and a phone or an e-mail.", "Укажите имя и телефон или почту."),
    "field_reason_required": ("Please fill this in.", "Заполните это поле."),
    "field_contact": ("Leave a phone number or an e-mail.", "Укажите телефон или почту."),
}
